"""The fixed grid of windows over a volume, in MONAI's positions, and the order in which they are visited."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Box = tuple[tuple[int, ...], tuple[int, ...]]
"""start (z, y, x) and size (z, y, x)."""


def axis_starts(length: int, roi: int, overlap: float) -> np.ndarray:
    """First voxel of each window along one axis, as MONAI's `sliding_window_inference` places them.

    An axis shorter than the window has one window, centred: it starts at a negative position.
    """
    if length <= roi:
        return np.array([-((roi - length) // 2)])
    interval = max(int(roi * (1 - overlap)), 1)
    count = -(-(length - roi) // interval) + 1
    return np.minimum(np.arange(count) * interval, length - roi)


@dataclass(frozen=True)
class WindowGrid:
    """All windows of one run.

    Args:
        shape: z, y, x of the volume.
        roi_size: z, y, x of a window.
        starts: per axis, first voxel of each window.
        block: windows per axis that are read together.
    """

    shape: tuple[int, ...]
    roi_size: tuple[int, ...]
    starts: tuple[np.ndarray, ...]
    block: tuple[int, ...]

    def __len__(self) -> int:
        return int(np.prod([len(axis) for axis in self.starts]))

    def blocks(self) -> Iterator[list[tuple[int, ...]]]:
        """Starts of the windows of each block, z slowest, blocks and windows alike."""
        ranges = [
            [axis[i : i + n] for i in range(0, len(axis), n)] for axis, n in zip(self.starts, self.block, strict=True)
        ]
        for parts in itertools.product(*ranges):
            yield [tuple(int(v) for v in start) for start in itertools.product(*parts)]

    def box_around(self, windows: Sequence[tuple[int, ...]]) -> Box:
        """Start and size of the smallest box that holds the given windows, parts outside the volume included."""
        low = np.min(windows, axis=0)
        high = np.max(windows, axis=0) + self.roi_size
        return tuple(low.tolist()), tuple((high - low).tolist())

    def windows_over(self, start: Sequence[int], size: Sequence[int]) -> int:
        """Number of windows that touch a box."""
        count = 1
        for axis, roi, low, n in zip(self.starts, self.roi_size, start, size, strict=True):
            count *= int(np.sum((axis < low + n) & (axis + roi > low)))
        return count


def window_grid(
    shape: Sequence[int], roi_size: Sequence[int], overlap: Sequence[float], block_voxels: int = 192
) -> WindowGrid:
    """Lay windows over a volume and group them into blocks.

    Args:
        shape: z, y, x of the volume.
        roi_size: z, y, x of a window.
        overlap: share of a window that the next one covers too, per axis, 0 <= o < 1.
        block_voxels: a block advances about this far along each axis, and at least by one window.

    Raises:
        ValueError: if a length is not positive or an overlap out of range.
    """
    if len(roi_size) != 3 or min(roi_size) < 1 or min(shape) < 1:
        raise ValueError(
            f"roi_size must be three positive lengths z, y, x; got {list(roi_size)} for shape {list(shape)}"
        )
    if len(overlap) != 3 or any(not 0 <= o < 1 for o in overlap):
        raise ValueError(f"overlap must be at least 0 and below 1 along each axis; got {list(overlap)}")
    starts = tuple(axis_starts(n, roi, o) for n, roi, o in zip(shape, roi_size, overlap, strict=True))
    intervals = [max(int(roi * (1 - o)), 1) for roi, o in zip(roi_size, overlap, strict=True)]
    block = tuple(max(block_voxels // interval, 1) for interval in intervals)
    return WindowGrid(tuple(shape), tuple(roi_size), starts, block)
