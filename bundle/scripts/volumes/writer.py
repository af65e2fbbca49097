"""Fill multiscale OME-Zarr images, box by box."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import zarr

from .blocks import lattice, touched_blocks
from .encoding import Encoding
from .errors import CannotListError
from .grid import Grid
from .layout import METADATA_NAMES, ArrayLayout, Triplet
from .memory import give_back_memory
from .ngff import group_metadata
from .paths import join
from .pyramid import downsampler, plan_levels
from .stores import list_keys, open_store
from .volume import open_volume
from .writable_array import WritableArray
from .zarr_nodes import open_array, open_group

_WAITING = 64
"""Blocks per thread that are handed out at once."""


class OmeZarrWriter:
    """An OME-Zarr image that is being filled; made by `create_ome_zarr`.

    From the start the image is valid, with its finest level alone; `finish` adds the coarser ones. It can be sent to
    other processes; processes and threads may write different blocks at the same time. To spread the coarser levels,
    too: one after the other, `start_level` once, `write_level_block` for all `level_blocks` in any order and anywhere,
    and after the last level `list_levels`.

    Attributes:
        path: folder or URL of the image's group.
        name: of the image.
        shape: C, D, H, W.
        pyramid: its levels, fine to coarse.
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
        self.pyramid = plan_levels(shape[1:], grid, levels, method=downsample)
        self._arrays = [WritableArray(join(path, str(level))) for level in range(levels)]

    def create(self) -> None:
        """Write the metadata, in place of a zarr that is there."""
        store, attributes = open_store(self.path, read_only=False), self._first_attributes
        zarr.create_group(store, zarr_format=self._layout.zarr_format, overwrite=True, attributes=attributes)
        self._layout.create_level(self.path, 0, self.shape)

    def exists(self) -> bool:
        """Whether `create` has been done for this image, here or in an earlier run.

        Raises:
            FileExistsError: where the path holds an image of another shape, type or layout.
        """
        try:
            array = open_array(join(self.path, "0"))
        except FileNotFoundError:
            return False
        if differences := self._layout.differences(array, self.shape):
            raise FileExistsError(
                f"{self.path} holds an image of {'; '.join(differences)}; choose another path, or overwrite it"
            )
        return True

    def was_begun(self) -> bool:
        """Whether there is nothing but what a `create` of this image leaves that was killed before its end."""
        try:
            names = {key.removeprefix("0/") for key, _ in list_keys(self.path)}
        except (FileNotFoundError, NotADirectoryError, CannotListError):
            return False
        if any(name not in METADATA_NAMES and not name.endswith(".partial") for name in names):
            return False
        try:
            found = dict(open_group(self.path).attrs)
        except FileNotFoundError:
            return True
        return found in ({}, json.loads(json.dumps(self._first_attributes)))

    def write(self, start: Sequence[int], array: np.ndarray, *, aligned: bool = True) -> None:
        """Write a box of the finest level. Chunks that hold only the fill value are not stored.

        Args:
            start: first voxel along z, y, x.
            array: C D H W of the writer's type, all channels.
            aligned: whether the box must begin and end at borders of blocks or of the volume, so that writers of
                different boxes never share a stored block. `False` allows any box, for a single writer.

        Raises:
            ValueError: for a box beyond the volume, off the lattice, or an array of another type or channel count.
            OSError: where the system refuses, such as for a disk that is full.
        """
        box = self._checked_box(start, array)
        for axis, part, block, extent in zip("zyx", box, self.block_shape, self.shape[1:], strict=True):
            if aligned and (part.start % block or (part.stop % block and part.stop != extent)):
                raise ValueError(
                    f"{self.path}: the box {part.start}:{part.stop} along {axis} does not fit the blocks of {block} "
                    f"voxels; expected multiples of {block}, or the end at {extent}. Where there is one writer only, "
                    "aligned=False writes any box"
                )
        self._arrays[0].write(box, array)

    def finish(self, workers: int = 1) -> str:
        """Build the coarser levels, each from the one below, block by block, and list them in the metadata.

        Only blocks below which something is stored are computed. The result does not depend on the number of threads,
        nor on an earlier `finish` that was killed.

        Args:
            workers: threads; each takes `bytes_per_worker`.

        Returns:
            the path.

        Raises:
            ValueError: for less than one thread.
        """
        if workers < 1:
            raise ValueError(f"workers: expected at least 1 thread, got {workers}")
        for level in self.pyramid_levels():
            self.start_level(level)
            _in_threads(partial(self.write_level_block, level), self.level_blocks(level), workers)
        return self.list_levels()

    @property
    def bytes_per_worker(self) -> int:
        """Memory that each thread of `finish` takes, about: its block, and a chunk of the finer level with its sums."""
        return self.shape[0] * math.prod(self.block_shape) * self.dtype.itemsize + math.prod(self._layout.chunks) * (
            self.shape[0] if self._downsample == "normal" else 1
        ) * (3 * self.dtype.itemsize + 8)

    def pyramid_levels(self) -> range:
        """Numbers of the coarser levels, in the order in which they are built."""
        return range(1, self.levels)

    def start_level(self, level: int) -> None:
        """Create the array of a coarser level, in place of one that is there."""
        self._layout.create_level(self.path, level, (self.shape[0], *self.pyramid[level].shape))

    def level_blocks(self, level: int) -> list[Triplet]:
        """Lattice index z, y, x of the blocks of a coarser level below which something is stored, in array order.

        The next finer level must be complete.
        """
        finer = open_volume(join(self.path, str(level - 1)))
        fine_block = [b * f for b, f in zip(self.block_shape, self.pyramid[level].factors, strict=True)]
        return sorted(touched_blocks(finer.stored_chunks(), fine_block))

    def write_level_block(self, level: int, index: Sequence[int]) -> None:
        """Compute a block of a coarser level from the next finer one, and write it.

        It is made from one chunk of the finer level at a time, so that it does not need eight times its memory.

        Args:
            level: its number; it was started.
            index: of the block, see `level_blocks`.
        """
        plan, finer = self.pyramid[level], self.pyramid[level - 1]
        reduce = downsampler(self._downsample, Encoding.from_attributes(self._attributes))
        start = [i * b for i, b in zip(index, self.block_shape, strict=True)]
        size = [min(b, n - at) for b, n, at in zip(self.block_shape, plan.shape, start, strict=True)]
        count = self.shape[0]
        block = np.empty((count, *size), self.dtype)
        # components of vectors belong together; other channels do not, and one at a time takes less memory
        channels = [slice(0, count)] if self._downsample == "normal" else [slice(c, c + 1) for c in range(count)]
        for low, extent in lattice(size, self._piece(plan.factors)):
            target = tuple(slice(at, at + n) for at, n in zip(low, extent, strict=True))
            z, y, x = (
                slice((at + first) * f, min((at + first + n) * f, end))
                for at, first, n, f, end in zip(start, low, extent, plan.factors, finer.shape, strict=True)
            )
            for run in channels:
                block[(run, *target)] = reduce(self._arrays[level - 1].read((z, y, x), run), plan.factors)
        self._arrays[level].write(_box(start, block), block)
        give_back_memory()

    def list_levels(self) -> str:
        """Name all levels in the metadata; they must be complete.

        Returns:
            the path.
        """
        group = zarr.open_group(open_store(self.path, read_only=False), mode="r+")
        group.attrs.update(self._metadata(self.levels))
        return self.path

    def _piece(self, factors: Sequence[int]) -> list[int]:
        """D H W of what is made of a coarser level at a time: whatever lies above one chunk of the finer level."""
        return [n if n % f else n // f for n, f in zip(self._layout.chunks, factors, strict=True)]

    @property
    def _first_attributes(self) -> dict[str, Any]:
        return self._attributes | self._metadata(1)

    def _metadata(self, levels: int) -> dict[str, Any]:
        """Attributes of the group that name its first levels."""
        return group_metadata(
            self._layout.version,
            name=self.name,
            channel_axis=self._layout.channel_axis,
            paths=[str(level) for level in range(levels)],
            grids=[level.grid for level in self.pyramid[:levels]],
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


def _box(start: Sequence[int], array: np.ndarray) -> tuple[slice, slice, slice]:
    z, y, x = (slice(int(low), int(low) + n) for low, n in zip(start, array.shape[1:], strict=True))
    return z, y, x


def _in_threads(function: Callable[[Any], None], items: Sequence[Any], workers: int) -> None:
    """Call a function for every item; few calls wait at a time, however many items there are."""
    with ThreadPoolExecutor(workers) as pool:
        for at in range(0, len(items), _WAITING * workers):
            for _ in pool.map(function, items[at : at + _WAITING * workers]):
                pass
