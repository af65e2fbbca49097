"""Blocks of windows, and which of them add to which chunk of the output."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .windows import Box, Triplet, WindowGrid, interval

Block = tuple[int, ...]
"""Index of a block along z, y, x."""

Chunk = tuple[int, ...]
"""Index of an output chunk along z, y, x."""

_USUAL_CHUNK = 96
_USUAL_BLOCK = 256


@dataclass(frozen=True)
class BlockLayout:
    """Divides what is predicted into blocks, boxes of whole chunks; a window belongs to the block it begins in.

    A window reaches beyond its block, so a chunk near the lower border of a block also gets a part of the blocks
    before it. The layout is that of the run: who computes a block, and when, changes no sum.

    Args:
        grid: the windows.
        chunk_size: z, y, x of an output chunk.
        block_size: z, y, x of a block, multiples of `chunk_size`.
    """

    grid: WindowGrid
    chunk_size: Triplet
    block_size: Triplet

    def __post_init__(self) -> None:
        if any(b % c or b < 1 for b, c in zip(self.block_size, self.chunk_size, strict=True)):
            raise ValueError(
                f"block_size {list(self.block_size)} must hold whole chunks of {list(self.chunk_size)} voxels"
            )

    @cached_property
    def _windows_along(self) -> list[dict[int, list[int]]]:
        """Per axis: the windows of each block that has any, by their first voxel."""
        axes: list[dict[int, list[int]]] = []
        for starts, block in zip(self.grid.starts, self.block_size, strict=True):
            found: dict[int, list[int]] = {}
            for start in starts.tolist():
                found.setdefault(max(start, 0) // block, []).append(start)
            axes.append(found)
        return axes

    def blocks(self) -> Iterator[Block]:
        """All blocks that have windows, x fastest."""
        return itertools.product(*self._windows_along)

    def __len__(self) -> int:
        return math.prod(len(axis) for axis in self._windows_along)

    def windows(self, block: Block) -> Iterator[Triplet]:
        """First voxels of a block's windows, x fastest."""
        return itertools.product(*(axis[i] for axis, i in zip(self._windows_along, block, strict=True)))

    def n_windows(self, block: Block) -> int:
        return math.prod(len(axis[i]) for axis, i in zip(self._windows_along, block, strict=True))

    def read_box(self, block: Block) -> Box:
        """Start and size of the box around a block's windows, which may reach beyond what is predicted."""
        along = [axis[i] for axis, i in zip(self._windows_along, block, strict=True)]
        start = tuple(windows[0] for windows in along)
        size = tuple(windows[-1] - windows[0] + roi for windows, roi in zip(along, self.grid.roi_size, strict=True))
        return start, size

    def sum_box(self, block: Block) -> Box:
        """The part of `read_box` that is predicted."""
        return _as_box(self.grid.inside(*self.read_box(block)))

    def chunk_box(self, chunk: Chunk) -> Box:
        """Start and size of a chunk, cut off at the end."""
        return _as_box(self.grid.inside([i * n for i, n in zip(chunk, self.chunk_size, strict=True)], self.chunk_size))

    def shared_box(self, block: Block, chunk: Chunk) -> Box:
        """The part of a chunk that a block's windows cover."""
        (low, size), (other, extent) = self.sum_box(block), self.chunk_box(chunk)
        return _as_box((max(a, b), min(a + n, b + m)) for a, n, b, m in zip(low, size, other, extent, strict=True))

    def chunks(self, block: Block) -> Iterator[Chunk]:
        """Chunks that a block's windows touch, x fastest."""
        start, size = self.sum_box(block)
        return itertools.product(
            *(range(s // c, -(-(s + n) // c)) for s, n, c in zip(start, size, self.chunk_size, strict=True))
        )

    def blocks_over(self, chunk: Chunk) -> Iterator[Block]:
        """Blocks whose windows touch a chunk, x fastest."""
        return self.blocks_touching(*self.chunk_box(chunk))

    def blocks_touching(self, start: Sequence[int], size: Sequence[int]) -> Iterator[Block]:
        """Blocks whose windows touch a box, x fastest."""
        ends = zip(range(3), start, size, strict=True)
        return itertools.product(*(self._blocks_along(axis, low, low + n) for axis, low, n in ends))

    @cached_property
    def _found_along(self) -> dict[tuple[int, int, int], list[int]]:
        """Blocks along an axis whose windows touch an interval, as far as anyone asked."""
        return {}

    def _blocks_along(self, axis: int, low: int, high: int) -> list[int]:
        asked = axis, low, high
        if asked not in self._found_along:
            self._found_along[asked] = self._find_along(*asked)
        return self._found_along[asked]

    def _find_along(self, axis: int, low: int, high: int) -> list[int]:
        starts = self.grid.starts[axis]
        first = np.searchsorted(starts, low - self.grid.roi_size[axis], side="right")
        last = np.searchsorted(starts, high, side="left")
        numbers: list[int] = np.unique(np.maximum(starts[first:last], 0) // self.block_size[axis]).tolist()
        return numbers

    def touched_by(self, boxes: Iterable[Box]) -> set[Block]:
        """Blocks whose windows touch any of the boxes."""
        touched: set[Block] = set()
        for start, size in boxes:
            touched.update(self.blocks_touching(start, size))
        return touched


def usual_chunk_size(roi_size: Sequence[int], overlap: Sequence[float]) -> Triplet:
    """Chunks of about 96 voxels that begin where windows begin, so that few windows lie across their borders."""
    steps = [interval(roi, o) for roi, o in zip(roi_size, overlap, strict=True)]
    return tuple(step * max(round(_USUAL_CHUNK / step), 1) for step in steps)


def usual_block_size(grid: WindowGrid, chunk_size: Sequence[int], bytes_per_voxel: int, memory: int | None) -> Triplet:
    """Blocks of about 256 voxels, fewer where memory is short, and never less than one chunk along an axis.

    Args:
        grid: the windows.
        chunk_size: z, y, x.
        bytes_per_voxel: what a voxel of a block costs while the block is worked on.
        memory: bytes for one block; `None`: no limit.
    """
    needed = [-(-n // chunk) for n, chunk in zip(grid.shape, chunk_size, strict=True)]
    counts = [min(max(round(_USUAL_BLOCK / chunk), 1), most) for chunk, most in zip(chunk_size, needed, strict=True)]

    before = [max(-int(starts[0]), 0) for starts in grid.starts]  # windows of the first block may begin that early

    def cost() -> int:
        sides = zip(counts, chunk_size, grid.roi_size, before, strict=True)
        return math.prod(early + n * chunk + roi for n, chunk, roi, early in sides) * bytes_per_voxel

    while memory is not None and max(counts) > 1 and cost() > memory:
        counts[max(range(3), key=lambda axis: (counts[axis] > 1) * counts[axis] * chunk_size[axis])] -= 1
    return tuple(n * chunk for n, chunk in zip(counts, chunk_size, strict=True))


def _as_box(ends: Iterable[tuple[int, int]]) -> Box:
    pairs = list(ends)
    return tuple(low for low, _ in pairs), tuple(high - low for low, high in pairs)
