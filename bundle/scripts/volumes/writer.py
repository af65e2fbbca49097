"""Write multiscale OME-Zarr images, box by box."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from ..geometry import did_you_mean
from .blocks import touched_blocks
from .encoding import Encoding
from .grid import Grid, as_triple, unit_symbol
from .layout import ArrayLayout, Triplet, checked_chunks, checked_version, require_free
from .ngff import group_metadata
from .paths import join, short_name
from .pyramid import METHODS, coarser, count_levels, downsampler, halving
from .stores import open_store
from .volume import open_volume


class OmeZarrWriter:
    """An OME-Zarr image that is being filled; made by `create_ome_zarr`.

    From the start the image is valid, with its finest level alone; `finish` adds the coarser ones. It can be sent to
    other processes, which may write different blocks at the same time.

    Attributes:
        path: folder or URL of the image's group.
        name: of the image.
        shape: C, D, H, W.
        dtype: type that `write` takes.
        grid: geometry of the finest level.
        block_shape: D, H, W of what is stored together: the shard, or the chunk where there are no shards.
        levels: number of pyramid levels after `finish`.
    """

    def __init__(
        self,
        path: str,
        shape: tuple[int, int, int, int],
        grid: Grid,
        layout: ArrayLayout,
        *,
        name: str,
        levels: int,
        downsample: str,
        attributes: Mapping[str, Any],
    ) -> None:
        self.path, self.name, self.shape, self.grid, self.levels = path, name, shape, grid, levels
        self.dtype, self.block_shape = layout.dtype, layout.block_shape
        self._layout, self._downsample, self._attributes = layout, downsample, dict(attributes)
        self._array: zarr.Array | None = None
        self._array_owner = -1

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_array": None}

    def create(self) -> None:
        """Write the metadata, in place of a zarr that is there."""
        attributes = self._attributes | self._metadata([self.grid])
        store = open_store(self.path, read_only=False)
        zarr.create_group(store, zarr_format=self._layout.zarr_format, overwrite=True, attributes=attributes)
        self._layout.create_level(self.path, 0, self.shape)

    def exists(self) -> bool:
        """Whether `create` has been done for this image, here or in an earlier run.

        Raises:
            FileExistsError: where the path holds an image of another shape or type.
        """
        try:
            array = self._open()
        except FileNotFoundError:
            return False
        wanted = self.shape if self._layout.channel_axis else self.shape[1:]
        if array.shape != wanted or array.dtype != self.dtype:
            raise FileExistsError(
                f"{self.path} holds an image of {array.shape} and {array.dtype}, not of {wanted} and {self.dtype}; "
                "choose another path, or overwrite it"
            )
        return True

    def write(self, start: Sequence[int], array: np.ndarray, *, aligned: bool = True) -> None:
        """Write a box of the finest level. Chunks that hold only the fill value are not stored.

        Args:
            start: first voxel along z, y, x.
            array: C D H W of the writer's type, all channels.
            aligned: whether the box must begin and end at borders of blocks or of the volume, so that writers of
                different boxes never share a stored block. `False` allows any box, for a single writer.

        Raises:
            ValueError: for a box beyond the volume, off the lattice, or an array of another type or channel count.
        """
        box = self._checked_box(start, array)
        for axis, part, block, extent in zip("zyx", box, self.block_shape, self.shape[1:], strict=True):
            if aligned and (part.start % block or (part.stop % block and part.stop != extent)):
                raise ValueError(
                    f"{self.path}: the box {part.start}:{part.stop} along {axis} does not fit the blocks of {block} "
                    f"voxels; expected multiples of {block}, or the end at {extent}. Where there is one writer only, "
                    "aligned=False writes any box"
                )
        _assign(self._open(), box, array)

    def finish(self) -> str:
        """Build the coarser levels, each from the one below, block by block, and list them in the metadata.

        Only blocks below which something is stored are computed.

        Returns:
            the path.
        """
        shape, grid, grids = self.shape[1:], self.grid, [self.grid]
        for level in range(1, self.levels):
            factors = halving(shape, grid.spacing)
            shape, grid = coarser(shape, grid, factors, method=self._downsample)
            self._build_level(level, shape, factors)
            grids.append(grid)
        group = zarr.open_group(open_store(self.path, read_only=False), mode="r+")
        group.attrs.update(self._metadata(grids))
        return self.path

    def _build_level(self, level: int, shape: Triplet, factors: Triplet) -> None:
        finer = open_volume(join(self.path, str(level - 1)))
        target = self._layout.create_level(self.path, level, (self.shape[0], *shape))
        reduce = downsampler(self._downsample, Encoding.from_attributes(self._attributes))
        fine_block = tuple(b * f for b, f in zip(self.block_shape, factors, strict=True))
        for index in sorted(touched_blocks(finer.stored_chunks(), fine_block)):
            fine_start = [i * b for i, b in zip(index, fine_block, strict=True)]
            fine_size = [min(b, n - at) for b, n, at in zip(fine_block, finer.spatial_shape, fine_start, strict=True)]
            coarse = reduce(finer.read(fine_start, fine_size), factors)
            start = [i * b for i, b in zip(index, self.block_shape, strict=True)]
            _assign(target, _box(start, coarse), coarse)

    def _metadata(self, grids: Sequence[Grid]) -> dict[str, Any]:
        return group_metadata(
            self._layout.version,
            name=self.name,
            channel_axis=self._layout.channel_axis,
            paths=[str(level) for level in range(len(grids))],
            grids=grids,
            method=self._downsample,
        )

    def _checked_box(self, start: Sequence[int], array: np.ndarray) -> tuple[slice, slice, slice]:
        if array.ndim != 4 or array.shape[0] != self.shape[0]:
            raise ValueError(f"{self.path}: got an array of shape {array.shape}, expected C D H W, C = {self.shape[0]}")
        if array.dtype != self.dtype and not (array.dtype.kind == "f" and self.dtype.kind == "f"):
            raise ValueError(
                f"{self.path}: got an array of {array.dtype}, expected {self.dtype}; convert it by .astype, "
                "or by scripts.volumes.encode, which rounds and clips"
            )
        box = _box(start, array)
        if any(part.start < 0 or part.stop > n for part, n in zip(box, self.shape[1:], strict=True)):
            raise ValueError(
                f"{self.path}: the box at {tuple(int(v) for v in start)} of size {array.shape[1:]} reaches beyond the "
                f"volume of {self.shape[1:]} voxels; cut it first"
            )
        return box

    def _open(self) -> zarr.Array:
        """The finest level, opened once per process."""
        if self._array is None or self._array_owner != os.getpid():
            array = zarr.open_array(open_store(join(self.path, "0"), read_only=False), mode="r+")
            self._array, self._array_owner = array.with_config({"write_empty_chunks": False}), os.getpid()
        return self._array


def create_ome_zarr(
    path: str | Path,
    shape: Sequence[int],
    dtype: npt.DTypeLike,
    *,
    spacing: Sequence[float],
    translation: Sequence[float] = (0.0, 0.0, 0.0),
    unit: str | None = None,
    chunks: Sequence[int] | None = None,
    shards: Sequence[int] | None = None,
    levels: int | None = 1,
    downsample: str = "mean",
    version: str = "0.5",
    compressor: Any = "auto",
    fill_value: float = 0,
    channel_axis: bool = False,
    attributes: Mapping[str, Any] | None = None,
    name: str | None = None,
    overwrite: bool = False,
    keep: bool = False,
) -> OmeZarrWriter:
    """Create an OME-Zarr image without voxels yet. Its arrays are z y x, or c z y x for more than one channel.

    Args:
        path: folder or URL of the image's group.
        shape: C, D, H, W.
        dtype: bool, integer or float type.
        spacing: voxel size along z, y, x.
        translation: position of the centre of voxel 0 along z, y, x.
        unit: `nm`, `um`, `mm` or a unit of length that OME-Zarr knows.
        chunks: D, H, W of a chunk, default 64 each; a chunk holds one channel.
        shards: D, H, W of a shard, multiples of `chunks` (version 0.5 only); a shard holds all channels.
        levels: number of pyramid levels, the finest included; `None` halves until the longest axis has at most 64
            voxels. Axes of much coarser spacing wait for the finer ones (see `pyramid.halving`).
        downsample: `mean` for images and probabilities, `mode` for labels, `normal` for unit vectors (stored as
            the attributes' encoding says), `nearest`.
        version: `0.5` (zarr v3) or `0.4` (zarr v2).
        compressor: as `zarr.create_array` takes its `compressors`; `None` stores raw.
        fill_value: value of voxels that nobody writes.
        channel_axis: keep the channel axis of a single channel.
        attributes: further attributes of the group, such as `NORMAL_INT8.as_attributes()`.
        name: of the image; default from the path.
        overwrite: replace what is at the path, if that is a zarr.
        keep: go on with the image that an equal call made before, if there is one; its voxels stay.

    Raises:
        FileExistsError: where the path is taken.
        ValueError: for values that do not fit together.
    """
    size, kind, version = _checked_shape(shape), np.dtype(dtype), checked_version(version)
    if kind.kind not in "biuf":
        raise ValueError(f"dtype: expected bool, integer or float, got {kind}")
    if downsample not in METHODS:
        raise ValueError(
            f"downsample: expected one of {', '.join(METHODS)}, got {downsample!r}{did_you_mean(downsample, METHODS)}"
        )
    if downsample == "normal" and size[0] not in (2, 3):
        raise ValueError(f"downsample = 'normal' is for vectors of 2 or 3 channels; the shape {size} has {size[0]}")
    reserved = sorted({"ome", "multiscales"} & set(attributes or {}))
    if reserved:
        raise ValueError(f"attributes: {reserved} are written by create_ome_zarr itself; leave them out")
    grid = Grid(as_triple(spacing, "spacing", positive=True), as_triple(translation, "translation"), unit_symbol(unit))
    chunk, shard = checked_chunks(size[1:], chunks, shards, version)
    writer = OmeZarrWriter(
        str(path),
        size,
        grid,
        ArrayLayout(version, kind, channel_axis or size[0] > 1, chunk, shard, compressor, fill_value),
        name=name or short_name(str(path)),
        levels=count_levels(size[1:], grid.spacing, levels),
        downsample=downsample,
        attributes=attributes or {},
    )
    if keep and writer.exists():
        return writer
    require_free(str(path), overwrite)
    writer.create()
    return writer


def _checked_shape(shape: Sequence[int]) -> tuple[int, int, int, int]:
    numbers = tuple(int(n) for n in shape)
    if len(numbers) != 4 or min(numbers) < 1:
        raise ValueError(f"shape: expected C, D, H, W of at least 1 each, got {tuple(shape)}")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _box(start: Sequence[int], array: np.ndarray) -> tuple[slice, slice, slice]:
    z, y, x = (slice(int(low), int(low) + n) for low, n in zip(start, array.shape[1:], strict=True))
    return z, y, x


def _assign(target: zarr.Array, box: tuple[slice, slice, slice], array: np.ndarray) -> None:
    """Write C D H W into an array c z y x, or z y x where there is one channel only."""
    if target.ndim == 4:
        target[(slice(None), *box)] = array
    else:
        target[box] = array[0]  # C D H W -> D H W
