"""Read one patch of a volume and its targets from zarr."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from ..geometry import IMAGE_KEY, MASK_KEY, UNKNOWN_LABEL, Kind, parse_targets, stored_kinds
from ..volumes import Volume, open_volume

logger = logging.getLogger(__name__)


class LoadZarrPatchd(MapTransform):
    """Turn a training datum (paths and a box) into a sample of MetaTensors.

    Images become float32 C D H W, labels and masks integers 1 D H W, other kinds float32 C D H W in real units (decoded
    as the store's attributes say). Where the box reaches outside the volume, images are 0, masks 0, labels -1
    and other kinds NaN: unknown, so that no loss counts there. A key that this volume does not carry is unknown
    everywhere; a missing mask (`mask`, or a key that a target names as its mask) is 1 inside the volume.

    The affine of each tensor maps array index (z, y, x) to physical position; its meta carries `reference_affine` (the
    affine before any spatial transform), `start`, `size`, `spacing` and `filename_or_obj`. The sample gets `patch`, a
    dictionary with `volume`, `start` and `size`.

    Args:
        keys: keys to load; `image` (a path, or a list of paths that are stacked as channels) must be one of them.
        targets: the `targets` table, which says what kind each key is; keys that it does not name are labels
            where they are stored as integers, and scalars otherwise.

    Raises:
        ValueError: if the arrays of one datum differ in shape, or a key is missing and `targets` does not name it.
        FileNotFoundError: if an array does not exist.
        CorruptChunkError: if a chunk cannot be decoded.
    """

    def __init__(self, keys: KeysCollection, targets: Mapping[str, Any] | None = None) -> None:
        super().__init__(keys)
        if IMAGE_KEY not in self.keys:
            raise ValueError(f"keys must hold '{IMAGE_KEY}', whose grid the others share; got {list(self.keys)}")
        self.kinds = stored_kinds(targets) if targets else {}
        rows = parse_targets(targets).values() if targets else ()
        self.channels = {row.stored_key: row.channels for row in rows}
        self.masks = {MASK_KEY, *(row.mask for row in rows if row.mask is not None)}
        self._volumes: dict[tuple[str, Any], Volume] = {}
        self._reported: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        # stores are opened in the process that reads
        return {**self.__dict__, "_volumes": {}}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        sample = dict(data)
        start, size = ([int(n) for n in sample.pop(key)] for key in ("start", "size"))
        spacing = sample.pop("spacing", None)
        paths = sample[IMAGE_KEY]
        images = [self._open(path, spacing) for path in (paths if _is_list(paths) else [paths])]
        grid = images[0]
        self._report_padding(grid, start, size)
        for key in self.keys:
            if key == IMAGE_KEY:
                parts = [self._checked(image, grid, key).read(start, size).astype(np.float32) for image in images]
                array = np.concatenate(parts)  # [C D H W] -> C D H W
            elif sample.get(key) is None:
                array = self._unknown(str(key), grid, start, size)
            else:
                volume = self._checked(self._open(sample[key], spacing), grid, key)
                array = self._read(volume, self._kind(str(key), volume), start, size, 0 if key in self.masks else None)
            sample[key] = _meta_tensor(array, grid, start, size, str(sample.get(key) or grid.path))
        sample["patch"] = {
            "volume": int(sample.pop("volume", 0)),
            "start": np.asarray(start),
            "size": np.asarray(size),
        }
        return sample

    def _open(self, path: Any, spacing: Sequence[float] | None) -> Volume:
        key = (str(path), None if spacing is None else tuple(spacing))
        if key not in self._volumes:
            self._volumes[key] = open_volume(path, spacing=spacing)
        return self._volumes[key]

    def _checked(self, volume: Volume, grid: Volume, key: Hashable) -> Volume:
        if volume.spatial_shape != grid.spatial_shape:
            raise ValueError(
                f"'{key}' {volume.path} has shape {volume.spatial_shape}, the image {grid.path} has "
                f"{grid.spatial_shape} (z y x): all arrays of a volume must share one grid"
            )
        return volume

    def _kind(self, key: str, volume: Volume) -> Kind:
        is_integer = np.issubdtype(volume.dtype, np.integer) or volume.dtype == bool
        return self.kinds.get(key, Kind.LABEL if is_integer and volume.encoding is None else Kind.SCALAR)

    def _read(
        self, volume: Volume, kind: Kind, start: Sequence[int], size: Sequence[int], label_fill: int | None
    ) -> np.ndarray:
        array = volume.read(start, size)
        if kind is Kind.LABEL:
            fill: float = UNKNOWN_LABEL if label_fill is None else label_fill
            # 32 bits hold every id of a smaller type, and the -1 of unknown voxels
            wide = np.issubdtype(array.dtype, np.integer) and array.dtype.itemsize >= 4 and array.dtype != np.int32
            array = array.astype(np.int64 if wide else np.int32)
        else:
            fill = np.nan
            array = volume.decode(array)
        inside = tuple(slice(lo, n - hi) for n, (lo, hi) in zip(size, volume.padding(start, size), strict=True))
        if any(part != slice(0, n) for part, n in zip(inside, size, strict=True)):
            padded = np.full_like(array, fill)
            padded[:, *inside] = array[:, *inside]
            array = padded
        return array

    def _unknown(self, key: str, grid: Volume, start: Sequence[int], size: Sequence[int]) -> np.ndarray:
        if key in self.masks:
            mask = np.zeros((1, *size), np.int32)
            mask[:, *(slice(lo, n - hi) for n, (lo, hi) in zip(size, grid.padding(start, size), strict=True))] = 1
            return mask
        if key not in self.kinds:
            raise ValueError(f"volume {grid.path} carries no '{key}', and no target is called so")
        if self.kinds[key] is Kind.LABEL:
            return np.full((1, *size), UNKNOWN_LABEL, np.int32)
        return np.full((self.channels[key], *size), np.nan, np.float32)

    def _report_padding(self, grid: Volume, start: Sequence[int], size: Sequence[int]) -> None:
        if (
            any(n < wanted for n, wanted in zip(grid.spatial_shape, size, strict=True))
            and grid.path not in self._reported
        ):
            self._reported.add(grid.path)
            logger.warning(
                "volume %s of shape %s is smaller than the patch %s: it is padded",
                grid.path,
                grid.spatial_shape,
                list(size),
            )


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _meta_tensor(array: np.ndarray, grid: Volume, start: Sequence[int], size: Sequence[int], source: str) -> MetaTensor:
    affine = np.array(grid.affine, dtype=np.float64)
    affine[:3, 3] += affine[:3, :3] @ np.asarray(start, np.float64)
    affine_tensor = torch.from_numpy(affine)
    meta = {
        "filename_or_obj": source,
        "start": np.asarray(start),
        "size": np.asarray(size),
        "spacing": np.asarray(grid.spacing, np.float64),
        "original_affine": affine_tensor.clone(),
        "reference_affine": affine_tensor.clone(),
    }
    return MetaTensor(torch.from_numpy(np.ascontiguousarray(array)), affine=affine_tensor, meta=meta)
