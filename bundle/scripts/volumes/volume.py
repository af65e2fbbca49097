"""The one face of all volumes: `open_volume(path)` and `Volume`."""

from __future__ import annotations

import copy
import hashlib
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .array_sizes import check_channels
from .axes import AxisLayout
from .encoding import Encoding, decode
from .few_warnings import warn_few
from .formats import folder_opener_of, opener_of
from .grid import Grid, Triple, as_triple
from .paths import is_url, require_exists, short_name, split_level
from .source import ArraySource, OpenedArray
from .stalls import SLOWEST, in_thread, in_time
from .zarr_open import open_zarr

logger = logging.getLogger(__name__)

_SLOW_TO_OPEN = 10 * SLOWEST
"""Bytes that opening a file is given the time of: some formats are read as a whole then."""

Triplet = tuple[int, int, int]
Padding = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


class Volume:
    """A stored array seen as C D H W, with its geometry; made by `open_volume`.

    It is cheap to keep and to send to another process: the store is opened where it is read.

    Attributes:
        path: as given to `open_volume`.
        name: short name for messages.
        shape: C, D, H, W.
        spatial_shape: D, H, W.
        channels: C.
        dtype: NumPy type of what `read` returns (as stored, native byte order).
        spacing: voxel size along z, y, x in `unit`.
        translation: position of the centre of voxel 0 along z, y, x in `unit`.
        unit: `nm`, `um`, `mm`, another word as stored, or `None`.
        states_geometry: whether the store itself says what spacing it has.
        chunks: D, H, W of a chunk (sharded arrays: of the chunk within a shard; files: what is read at once).
        fill_value: value of voxels that the store leaves out.
        attributes: other attributes of the store. A NIfTI's orientation is here as `nifti_affine` and not applied.
        encoding: how stored numbers stand for values, where the attributes say so.
    """

    def __init__(self, path: str, opened: OpenedArray, layout: AxisLayout, grid: Grid) -> None:
        self._source, self._layout, self._grid = opened.source, layout, grid
        self._padding_reported = False
        self.states_geometry = opened.grid is not None
        self.path = path
        self.name = short_name(split_level(path)[0])
        self.shape = layout.cdhw_shape(opened.source.shape)
        self._inside = self._everywhere()
        self.chunks: Triplet = layout.spatial_ints(opened.source.chunks, 1)
        self.dtype = opened.source.dtype
        self.fill_value = opened.source.fill_value
        self.attributes: dict[str, Any] = opened.attributes
        self.encoding = Encoding.from_attributes(opened.attributes, path)

    @property
    def channels(self) -> int:
        return self.shape[0]

    @property
    def spatial_shape(self) -> Triplet:
        return self.shape[1:]

    @property
    def spacing(self) -> Triple:
        return self._grid.spacing

    @property
    def translation(self) -> Triple:
        return self._grid.translation

    @property
    def unit(self) -> str | None:
        return self._grid.unit

    @property
    def stored_dtype(self) -> np.dtype:
        """NumPy type of what is stored; `dtype` differs from it where reading interpolates."""
        return self.dtype

    @property
    def affine(self) -> np.ndarray:
        """4 x 4 float64 from array index (z, y, x) to position in `unit`."""
        return self._grid.affine

    @property
    def decoded_bytes(self) -> int:
        """Bytes of voxels that reading has had decoded since the volume was opened in this process.

        Of zarr these are the chunks, whole but for what lies beyond the volume, that were not found in the chunk
        cache; chunks that the store leaves out count as well. Of files it is what was read.
        """
        return self._source.decoded.total

    def __repr__(self) -> str:
        spacing = " x ".join(f"{s:g}" for s in self.spacing)
        return f"Volume({self.path!r}, C D H W = {self.shape}, {self.dtype}, spacing {spacing} {self.unit or ''})"

    def padding(self, start: Sequence[int], size: Sequence[int]) -> Padding:
        """How many voxels of a box lie before and behind the array, along z, y, x. Reads nothing."""
        pads = []
        for low, length, (first, stop) in zip(start, size, self._inside, strict=True):
            before = min(max(first - low, 0), length)
            pads.append((int(before), int(min(max(low + length - stop, 0), length - before))))
        return pads[0], pads[1], pads[2]

    def read(
        self, start: Sequence[int], size: Sequence[int], *, channels: Sequence[int] | None = None, fill: float = 0
    ) -> np.ndarray:
        """Read a box; only the chunks that it touches are read.

        Args:
            start: first voxel along z, y, x; may be negative.
            size: D, H, W of the box, which may reach beyond the array.
            channels: which ones, in this order; default all.
            fill: value of voxels outside the array. The first read of this volume that pads logs a warning.

        Returns:
            C D H W of type `dtype`, as stored (see `decode`).

        Raises:
            ValueError: for a box without voxels, a channel that does not exist, or a fill that `dtype` cannot hold.
            CorruptChunkError: where a stored chunk cannot be read.
        """
        start, size = _ints(start, "start"), _ints(size, "size")
        if min(size) < 1:
            raise ValueError(f"{self.path}: size {size} of the box to read; expected three numbers of at least 1")
        wanted = self._checked_channels(channels)
        if all(first <= low <= stop - n for low, n, (first, stop) in zip(start, size, self._inside, strict=True)):
            return self._read_inside(start, size, wanted)
        pads = self.padding(start, size)
        inner = tuple(length - before - after for length, (before, after) in zip(size, pads, strict=True))
        self._report_padding(start, size)
        if self.dtype.kind != "f" and not _fits(fill, self.dtype):
            raise ValueError(f"{self.path}: fill = {fill} does not fit the volume's type {self.dtype}")
        block = np.full((len(wanted), *size), fill, dtype=self.dtype)
        if min(inner) > 0:
            first = tuple(low + before for low, (before, _) in zip(start, pads, strict=True))
            target = tuple(slice(before, before + n) for (before, _), n in zip(pads, inner, strict=True))
            block[(slice(None), *target)] = self._read_inside(first, inner, wanted)
        return block

    def decode(self, array: np.ndarray) -> np.ndarray:
        """Values of an array C D H W as `read` returns it, float32: the stored encoding applied, or a mere cast."""
        return decode(array, self.encoding)

    def with_source(self, wrap: Callable[[ArraySource], ArraySource]) -> Volume:
        """The same volume, whose voxels come from what `wrap` makes of the stored array."""
        twin = copy.copy(self)
        twin._source = wrap(self._source)
        return twin

    def stored_chunks(self, inside_shards: bool = False) -> list[tuple[Triplet, Triplet]]:
        """Start (z, y, x) and size of every box of which the store holds data, in array order.

        Found by listing the store, so the cost follows what is stored, not the volume's extent. For a sharded array
        the boxes are shards; for a file, the whole volume is one box. Boxes end at the volume's border.

        Args:
            inside_shards: for a sharded array, the chunks that the shards hold: of every shard its index is read, a
                few bytes per chunk. Shards that keep it in an unusual way are listed whole.

        Raises:
            CorruptChunkError: for a shard whose index is damaged.
        """
        layout, source, boxes = self._layout, self._source, set()
        for start, size in source.stored_boxes(inside_shards=inside_shards):
            if "t" in layout.names:
                axis = layout.names.index("t")
                if not start[axis] <= layout.time < start[axis] + size[axis]:
                    continue
            boxes.add((layout.spatial_ints(start, 0), layout.spatial_ints(size, 1)))
        clipped = []
        for low, extent in sorted(boxes):
            d, h, w = (min(n, end - at) for n, end, at in zip(extent, self.spatial_shape, low, strict=True))
            if min(d, h, w) > 0:  # chunks left behind by an array that was made smaller lie outside
                clipped.append((low, (d, h, w)))
        return clipped

    def fingerprint(self) -> str:
        """Hash of the metadata and of every stored chunk's key, size and time of change.

        Equal fingerprints mean an unchanged array; voxels are not read. Of a remote store only metadata and keys count.
        """
        digest = hashlib.sha256(f"{self.shape} {self.dtype} {self._grid} {self._layout} {self.encoding}".encode())
        for line in self._source.signature():
            digest.update(f"\n{line}".encode())
        return digest.hexdigest()

    def _everywhere(self) -> tuple[tuple[int, int], ...]:
        """First voxel and last plus one, along z, y, x."""
        return tuple((0, extent) for extent in self.spatial_shape)

    def _checked_channels(self, channels: Sequence[int] | None) -> list[int]:
        wanted = list(range(self.channels)) if channels is None else [int(c) for c in channels]
        if not wanted or any(not 0 <= c < self.channels for c in wanted):
            raise ValueError(f"{self.path}: channels {wanted}; expected numbers from 0 to {self.channels - 1}")
        return wanted

    def _read_inside(self, start: Sequence[int], size: Sequence[int], channels: list[int]) -> np.ndarray:
        stop = [low + n for low, n in zip(start, size, strict=True)]
        blocks = []
        for run in _runs(channels):
            block = self._source.read(self._layout.selection(start, stop, run))
            blocks.append(self._layout.to_cdhw(block))
        return np.ascontiguousarray(blocks[0] if len(blocks) == 1 else np.concatenate(blocks))  # C D H W

    def _report_padding(self, start: Triplet, size: Triplet) -> None:
        if not self._padding_reported:
            self._padding_reported = True
            warn_few(
                logger,
                "%s: the box at %s of size %s reaches beyond the volume of %s voxels; what is outside is padded. "
                "Further padding of this volume is not reported",
                self.path, start, size, self.spatial_shape,
            )  # fmt: skip


def open_volume(
    path: str | Path, level: int | None = None, spacing: Sequence[float] | None = None, time: int | None = None
) -> Volume:
    """Open a volume of any supported format.

    Formats: zarr v2 and v3 arrays, OME-Zarr 0.4 and 0.5 images (also a label image or one level inside), NIfTI, TIFF,
    npy, npz, PNG, DICOM (a file, or the folder of a series). Zarr may be a URL that fsspec knows (`s3://`, `https://`,
    `memory://`). Axes without names are y x, z y x or c z y x.

    Args:
        path: local path or URL; `PATH::2` is `PATH` with `level=2`.
        level: pyramid level, an index into the OME-Zarr group's datasets.
        spacing: voxel size z, y, x. Picks the level nearest to it, unless a level is given. Where the store states no
            geometry, this is the voxel size.
        time: which time point, for a store with more than one.

    Raises:
        FileNotFoundError: where nothing is at the path.
        ValueError: for what is no volume; the message names what would be.
    """
    spelled = str(path)
    base, named_level = split_level(spelled)
    if level is not None and named_level is not None and level != named_level:
        raise ValueError(f"{spelled}: the path names level {named_level}, but level = {level}; give one of them")
    level = named_level if level is None else int(level)
    wanted = None if spacing is None else as_triple(spacing, f"{spelled}: spacing", positive=True)
    opened = _open(base, level, wanted)
    layout = AxisLayout.of(opened.axes, opened.source.shape, time, spelled)
    if min(opened.source.shape) < 1:
        raise ValueError(f"{spelled}: the array is empty, shape {opened.source.shape}; expected at least one voxel")
    check_channels(spelled, layout.cdhw_shape(opened.source.shape)[0])
    grid = opened.grid or Grid(wanted or (1.0, 1.0, 1.0))
    if wanted is not None and level is None:
        _warn_if_far(spelled, grid.spacing, wanted)
    return Volume(spelled, opened, layout, grid)


def _open(path: str, level: int | None, spacing: Triple | None) -> OpenedArray:
    if not is_url(path):
        require_exists(path)
    opener: Callable[[str], OpenedArray] | None = None
    if not is_url(path):
        opener = folder_opener_of(path) if Path(path).is_dir() else opener_of(path)
    if opener is None:
        return open_zarr(path, level, spacing)
    if level not in (None, 0):
        raise ValueError(f"{path}: level {level} does not exist; a file has level 0 only")
    return in_time(path, in_thread(lambda: opener(path)), _SLOW_TO_OPEN)


def _warn_if_far(path: str, found: Triple, wanted: Triple) -> None:
    """Half a pyramid step is the most by which the nearest level can differ, were there all levels."""
    if max(abs(math.log(have / want)) for have, want in zip(found, wanted, strict=True)) > math.log(2) / 2 + 1e-6:
        logger.warning(
            "%s: spacing %s was asked for; the nearest that is stored is %s, and that is used",
            path, list(wanted), list(found),
        )  # fmt: skip


def _fits(value: float, dtype: np.dtype) -> bool:
    """Whether a bool or integer type holds a number exactly."""
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return low <= value <= high and value == int(value)


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """Split a list into runs of consecutive numbers, each as (first, last + 1)."""
    runs: list[tuple[int, int]] = []
    for n in numbers:
        if runs and runs[-1][1] == n:
            runs[-1] = (runs[-1][0], n + 1)
        else:
            runs.append((n, n + 1))
    return runs


def _ints(values: Sequence[int], what: str) -> Triplet:
    numbers = tuple(map(int, values))
    if len(numbers) != 3 or numbers != tuple(values):
        raise ValueError(f"{what}: expected three whole numbers [z, y, x], got {list(values)}")
    return numbers[0], numbers[1], numbers[2]
