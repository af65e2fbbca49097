"""The fixed grid of windows over a volume, in MONAI's positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Triplet = tuple[int, ...]
"""Numbers along z, y, x."""

Box = tuple[Triplet, Triplet]
"""Start and size."""


def axis_starts(length: int, roi: int, overlap: float) -> np.ndarray:
    """First voxel of each window along one axis, as MONAI's `sliding_window_inference` places them.

    An axis shorter than the window has one window, centred: it starts at a negative position.
    """
    if length <= roi:
        return np.array([-((roi - length) // 2)])
    step = interval(roi, overlap)
    count = -(-(length - roi) // step) + 1
    return np.minimum(np.arange(count) * step, length - roi)


def interval(roi: int, overlap: float) -> int:
    """Distance of neighbouring windows along an axis, voxels."""
    return max(int(roi * (1 - overlap)), 1)


@dataclass(frozen=True)
class WindowGrid:
    """All windows of one run.

    Positions count from the first voxel of what is predicted: of the volume, or of a region of it.

    Args:
        shape: z, y, x of what is predicted.
        roi_size: z, y, x of a window.
        starts: per axis, first voxel of each window, ascending; windows may reach beyond `shape` at both ends.
        offset: first voxel of the region in the volume.
    """

    shape: Triplet
    roi_size: Triplet
    starts: tuple[np.ndarray, ...]
    offset: Triplet = (0, 0, 0)

    def __len__(self) -> int:
        return int(np.prod([len(axis) for axis in self.starts], dtype=np.int64))

    def in_volume(self, start: Sequence[int]) -> Triplet:
        """The volume's voxel at a position."""
        return tuple(s + o for s, o in zip(start, self.offset, strict=True))

    def inside(self, start: Sequence[int], size: Sequence[int]) -> Iterator[tuple[int, int]]:
        """First voxel, and the one after the last, of the part of a box that lies in `shape`, per axis."""
        for low, n, end in zip(start, size, self.shape, strict=True):
            yield max(low, 0), min(low + n, end)


def window_grid(
    shape: Sequence[int],
    roi_size: Sequence[int],
    overlap: Sequence[float],
    region: Sequence[Sequence[int]] | None = None,
) -> WindowGrid:
    """Lay windows over a volume.

    Args:
        shape: z, y, x of the volume.
        roi_size: z, y, x of a window.
        overlap: share of a window that the next one covers too, per axis, 0 <= o < 1.
        region: first voxel and the one after the last, `[[z, y, x], [z, y, x]]`; `None`: all. Its windows are those of
            the whole volume that touch it, so that its prediction is a part of the whole volume's.

    Raises:
        ValueError: if a length is not positive, an overlap out of range, or the region not within the volume.
    """
    if len(roi_size) != 3 or min(roi_size) < 1 or min(shape) < 1:
        raise ValueError(
            f"roi_size must be three positive lengths z, y, x; got {list(roi_size)} for shape {list(shape)}"
        )
    if len(overlap) != 3 or any(not 0 <= o < 1 for o in overlap):
        raise ValueError(f"overlap must be at least 0 and below 1 along each axis; got {list(overlap)}")
    first, stop = checked_region(region, shape)
    starts = []
    for n, roi, o, low, high in zip(shape, roi_size, overlap, first, stop, strict=True):
        axis = axis_starts(n, roi, o)
        starts.append(axis[(axis < high) & (axis + roi > low)] - low)
    size = tuple(high - low for low, high in zip(first, stop, strict=True))
    return WindowGrid(size, tuple(roi_size), tuple(starts), first)


def checked_region(region: Sequence[Sequence[int]] | None, shape: Sequence[int]) -> Box:
    """First voxel, and the one after the last, of a region; of all where it is `None`.

    Raises:
        ValueError: for a region that is empty or reaches beyond the volume.
    """
    if region is None:
        return (0, 0, 0), tuple(int(n) for n in shape)
    corners = [tuple(int(v) for v in corner) for corner in region]
    if [len(corner) for corner in corners] != [3, 3] or any(
        not 0 <= low < high <= n for low, high, n in zip(*corners, shape, strict=True)
    ):
        raise ValueError(
            f"region must be [[z0, y0, x0], [z1, y1, x1]] with 0 <= start < stop <= {list(shape)}; got {region}"
        )
    return corners[0], corners[1]
