"""Read one patch of a volume and its targets from zarr."""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..geometry import IMAGE_KEY, MASK_KEY, UNKNOWN_LABEL, Kind, parse_targets, stored_kinds
from ..volumes import STORED_AXES, Volume, open_resampled, open_stack, resampling_mode, set_chunk_cache, to_stored
from ..volumes.few_warnings import warn_few
from .meta import meta_tensor
from .spatial_draw import SPATIAL_KEY

logger = logging.getLogger(__name__)

_NOTES = (
    "start", "size", "volume", "spacing", "shape", "axes", "ref_label", "found", "start_range", "bounds",
    "bbox_percent", "labeled_ratio",
)  # fmt: skip
"""Keys of a datum that are no arrays; the sample does not have them."""

_MOST_READS = 8


@dataclass(frozen=True)
class _Opened:
    """The arrays of one volume; keys that it does not carry are absent."""

    arrays: dict[str, list[Volume]]
    stored_dtypes: dict[str, str]

    @property
    def grid(self) -> Volume:
        return self.arrays[IMAGE_KEY][0]

    def meta(self, start: Sequence[int], size: Sequence[int]) -> dict[str, Any]:
        """What the tensors of a box have in common."""
        affine = self.grid.affine
        affine[:3, 3] += affine[:3, :3] @ start
        return {
            "start": np.array(start),
            "size": np.array(size),
            "spacing": np.array(self.grid.spacing),
            "original_affine": torch.from_numpy(affine),
            "reference_affine": torch.from_numpy(affine.copy()),
        }


class UnknownKeyError(ValueError):
    """A volume does not carry a key, and nothing says what it would hold."""


class LoadZarrPatchd(MapTransform):
    """Turn a training datum (paths and a box) into a sample of MetaTensors.

    Images become float32 C D H W, labels and masks integers 1 D H W, other kinds float32 C D H W in real units (decoded
    as the store's attributes say). Where the box reaches outside the volume, images are 0, masks 0, labels -1
    and other kinds NaN: unknown, so that no loss counts there. A key that this volume does not carry is unknown
    everywhere; a missing mask (`mask`, or a key that a target names as its mask) is 1 inside the volume.

    A datum with `spacing` is read at exactly that: images, scalars and vectors are interpolated, of labels the nearest
    voxel is taken, and every array is placed on the image's grid by physical position. Where an array ends
    before the image does, it is unknown.

    A datum with `shape` is read at so many voxels, which fill the stored image; its arrays are placed likewise.

    A datum with `axes` is read with its axes in that order: `start`, `size`, `spacing`, `shape`, the arrays, their
    affines and the components of vectors and normals are along these (see `scripts.volumes.PermutedVolume`).

    The affine of each tensor maps array index (z, y, x) to physical position; its meta carries `reference_affine` (the
    affine before any spatial transform), `start`, `size`, `spacing`, `dtype` (as stored) and `filename_or_obj`. The
    sample gets `patch`, a dictionary with `volume`, `start` and `size`.

    Where a datum says under `ref_label` which array was searched for labels, an array without any there, and at the
    place where they were `found` (default `start`), is an error: it has changed since, or lost chunks.

    Where `RandSpatialDrawd` has enlarged the box, the sample is what the volume has of that box; `ApplySpatiald` makes
    it a patch again.

    The arrays of a sample are read at the same time, by threads that each process starts for itself.

    Args:
        keys: keys to load; `image` (a path, or a list of paths that are stacked as channels) must be one of them.
        targets: the `targets` table, which says what kind each key is; keys that it does not name are labels
            where they are stored as integers, and scalars otherwise.
        cache_bytes: memory for decoded chunks in each process that reads, so that overlapping patches decode
            each chunk once; `None` leaves the cache as it is.

    Raises:
        ValueError: if the arrays of one datum differ in shape or cannot be placed on the image's grid, or labels are
            gone; `UnknownKeyError` if a key is missing and `targets` does not name it.
        FileNotFoundError: if an array does not exist.
        CorruptChunkError: if a chunk cannot be decoded.
    """

    def __init__(
        self, keys: KeysCollection, targets: Mapping[str, Any] | None = None, cache_bytes: int | None = None
    ) -> None:
        super().__init__(keys)
        if IMAGE_KEY not in self.keys:
            raise ValueError(f"keys must hold '{IMAGE_KEY}', whose grid the others share; got {list(self.keys)}")
        if cache_bytes is not None and cache_bytes < 0:
            raise ValueError(f"cache_bytes must be at least 0, or null; got {cache_bytes}")
        self.kinds = stored_kinds(targets) if targets else {}
        rows = parse_targets(targets).values() if targets else ()
        self.channels = {row.stored_key: row.channels for row in rows}
        self.masks = {MASK_KEY, *(row.mask for row in rows if row.mask is not None)}
        self.cache_bytes = cache_bytes
        self._reported: set[str] = set()
        self._forget()

    def _forget(self) -> None:
        """What belongs to the process that reads: stores, threads."""
        self._opened: dict[tuple[str, ...], _Opened] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._process = -1

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": {}, "_pool": None, "_process": -1}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        sample = dict(data)
        notes = {key: sample.pop(key, None) for key in _NOTES}
        start, size = patch = tuple([int(n) for n in notes[key]] for key in ("start", "size"))
        opened = self._open(sample, notes["spacing"], notes["axes"] or STORED_AXES, notes["shape"])
        draw = sample.get(SPATIAL_KEY)
        if draw is not None:
            patch = tuple(map(list, draw.patch))
            sample[SPATIAL_KEY] = draw = draw.inside(opened.grid.spatial_shape)
            start, size = map(list, draw.box)
        notes["found"] = (patch[0] if notes["found"] is None else [int(n) for n in notes["found"]], patch[1])
        self._report_padding(opened.grid, patch[1])
        reads = [(key, volume, start, size, notes) for key, volumes in opened.arrays.items() for volume in volumes]
        pending = [self._threads().submit(self._load, *read) for read in reads[1:]]
        meta = opened.meta(start, size)
        blocks: dict[str, list[np.ndarray]] = {IMAGE_KEY: [self._load(*reads[0])]}  # C D H W each
        for (key, *_), future in zip(reads[1:], pending, strict=True):
            blocks.setdefault(key, []).append(future.result())
        for key in map(str, self.keys):
            found = blocks.get(key) or [self._unknown(key, opened.grid, start, size)]
            array = found[0] if len(found) == 1 else np.concatenate(found)
            source = str(opened.grid.path if sample.get(key) is None else sample[key])
            own = {"filename_or_obj": source, "dtype": opened.stored_dtypes.get(key, "")}
            sample[key] = meta_tensor(torch.from_numpy(array), own | meta, meta["original_affine"].clone())
        sample["patch"] = {"volume": int(notes["volume"] or 0), "start": np.asarray(start), "size": np.asarray(size)}
        return sample

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_MOST_READS, thread_name_prefix="LoadZarrPatchd")
        return self._pool

    def _open(
        self,
        sample: Mapping[Hashable, Any],
        spacing: Sequence[float] | None,
        axes: str,
        shape: Sequence[int] | None,
    ) -> _Opened:
        if self._process != os.getpid():  # the first call, or a fork
            self._forget()
            self._process = os.getpid()
            if self.cache_bytes is not None:
                set_chunk_cache(self.cache_bytes)
        name = (axes, str(spacing), str(shape), *(str(sample.get(key)) for key in self.keys))
        if name not in self._opened:
            self._opened[name] = self._open_anew(sample, spacing, axes, shape)
        return self._opened[name]

    def _open_anew(
        self,
        sample: Mapping[Hashable, Any],
        spacing: Sequence[float] | None,
        axes: str,
        shape: Sequence[int] | None,
    ) -> _Opened:
        stored = None if spacing is None else to_stored(spacing, axes)
        voxels = None if shape is None else to_stored(shape, axes)
        images = open_stack(sample[IMAGE_KEY], stored, axes, voxels)
        arrays = {IMAGE_KEY: images}
        for key in map(str, self.keys):
            if key != IMAGE_KEY and sample.get(key) is not None:
                kind = self.kinds.get(key, Kind.LABEL if key in self.masks else None)
                mode = None if kind is None else resampling_mode(kind)
                has_components = kind is not None and kind.is_directional
                arrays[key] = [open_resampled(sample[key], stored, mode, images[0], axes, has_components, voxels)]
        for key, volumes in arrays.items():
            for volume in volumes:
                _check_shape(volume, images[0], key)
        return _Opened(arrays, {key: str(volumes[0].stored_dtype) for key, volumes in arrays.items()})

    def _load(
        self, key: str, volume: Volume, start: Sequence[int], size: Sequence[int], notes: Mapping[str, Any]
    ) -> np.ndarray:
        """One array's part of the sample, C D H W."""
        block = volume.read(start, size)
        if key == notes["ref_label"] and not _is_labelled(block):
            _check_found(key, volume, (list(start), list(size)), notes["found"])
        if key == IMAGE_KEY:
            return block.astype(np.float32, copy=False)
        return self._values(key, volume, block, start, size)

    def _kind(self, key: str, volume: Volume) -> Kind:
        is_integer = volume.dtype.kind in "biu" and volume.encoding is None
        return self.kinds.get(key, Kind.LABEL if is_integer else Kind.SCALAR)

    def _values(
        self, key: str, volume: Volume, block: np.ndarray, start: Sequence[int], size: Sequence[int]
    ) -> np.ndarray:
        fill: float = np.nan
        if self._kind(key, volume) is Kind.LABEL:
            fill = 0 if key in self.masks else UNKNOWN_LABEL
            # 32 bits hold every id of a smaller type, and the -1 of unknown voxels
            is_wide = block.dtype.kind in "iu" and block.dtype.itemsize >= 4 and block.dtype != np.int32
            array = block.astype(np.int64 if is_wide else np.int32, copy=False)
        else:
            array = block if block.dtype == np.float32 and volume.encoding is None else volume.decode(block)
        for axis, (before, after) in enumerate(volume.padding(start, size), start=1):
            if before or after:
                at = [slice(None)] * axis
                array[(*at, slice(before))] = fill
                array[(*at, slice(size[axis - 1] - after, None))] = fill
        return array

    def _unknown(self, key: str, grid: Volume, start: Sequence[int], size: Sequence[int]) -> np.ndarray:
        if key in self.masks:
            mask = np.zeros((1, *size), np.int32)
            mask[:, *(slice(lo, n - hi) for n, (lo, hi) in zip(size, grid.padding(start, size), strict=True))] = 1
            return mask
        if key not in self.kinds:
            raise UnknownKeyError(f"volume {grid.path} carries no '{key}', and no target is called so")
        if self.kinds[key] is Kind.LABEL:
            return np.full((1, *size), UNKNOWN_LABEL, np.int32)
        return np.full((self.channels[key], *size), np.nan, np.float32)

    def _report_padding(self, grid: Volume, size: Sequence[int]) -> None:
        is_small = any(n < wanted for n, wanted in zip(grid.spatial_shape, size, strict=True))
        if is_small and grid.path not in self._reported:
            self._reported.add(grid.path)
            warn_few(
                logger,
                "volume %s of shape %s is smaller than the patch %s: it is padded",
                grid.path, grid.spatial_shape, list(size),
            )  # fmt: skip


def _check_shape(volume: Volume, grid: Volume, key: str) -> None:
    if volume.spatial_shape != grid.spatial_shape:
        raise ValueError(
            f"'{key}' {volume.path} has shape {volume.spatial_shape}, the image {grid.path} has "
            f"{grid.spatial_shape} (z y x): all arrays of a volume must share one grid, or the volume needs a "
            "'spacing', at which arrays are placed by the physical position that their stores state"
        )


def _is_labelled(block: np.ndarray) -> bool:
    """Whether any voxel is neither 0 nor NaN."""
    return bool(block.any()) and (block.dtype.kind != "f" or bool(np.nan_to_num(block, nan=0.0).any()))


def _check_found(
    key: str, volume: Volume, read: tuple[list[int], list[int]], searched: tuple[list[int], list[int]]
) -> None:
    """In the box that was searched there must still be labels; boxes are start and size."""
    if searched == read or not _is_labelled(volume.read(*searched)):
        raise ValueError(
            f"'{key}' {volume.path} has no labelled voxel in the box at {searched[0]} of size {searched[1]} (z y x), "
            "where there were labels when patches were searched: the store has lost chunks, or its labels have "
            "changed. Restore the store, or delete the patch cache so that patches are searched anew"
        )
