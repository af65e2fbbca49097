"""Interpolation between two regular grids whose axes are parallel, one axis after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

_AT_A_VOXEL = 1e-6
"""Positions this near to a voxel's centre, in voxels, are at it; absorbs the rounding of spacings."""

_SLAB_VOXELS = 2**16
"""Source voxels that are interpolated at a time, so that they stay in the processor's cache."""


@dataclass(frozen=True)
class AxisMap:
    """Where the voxels of one grid lie among the voxels of another, along one axis.

    Args:
        scale: voxel size of the target grid in source voxels.
        offset: position of the centre of target voxel 0; source voxel n has its centre at n.
        extent: number of source voxels.
    """

    scale: float
    offset: float
    extent: int

    def positions(self, first: int, count: int) -> np.ndarray:
        """Where the target voxels `first` ... `first + count - 1` lie, in source voxels."""
        exact = np.arange(first, first + count) * self.scale + self.offset
        nearest = np.rint(exact)
        return np.where(np.abs(exact - nearest) < _AT_A_VOXEL, nearest, exact)

    def owners(self, first: int, count: int) -> np.ndarray:
        """The source voxel that holds each target voxel's centre; a centre on a border belongs to the upper voxel.

        Not limited to the voxels that exist; ascending.
        """
        return np.floor(self.positions(first, count) + (0.5 + _AT_A_VOXEL)).astype(np.int64)

    def nearest(self, first: int, count: int) -> np.ndarray:
        """Like `owners`, the outermost source voxels standing for all beyond."""
        owners: np.ndarray = np.clip(self.owners(first, count), 0, self.extent - 1)
        return owners

    def linear(self, first: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The two source voxels that each target voxel lies between, and the weight (float32) of the second one.

        A target voxel at a source voxel's centre has that one twice. Beyond the border its voxel counts twice.
        """
        positions = self.positions(first, count)
        low = np.floor(positions)
        weight = positions - low
        high = low + (weight > 0)
        low, high = (np.clip(index, 0, self.extent - 1).astype(np.int64) for index in (low, high))
        return low, high, weight.astype(np.float32)

    def covered(self, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The first and the last source voxel that `area` counts for each target voxel; ascending."""
        if self.scale <= 1:
            low, high, _ = self.linear(first, count)
            return low, high
        positions = self.positions(first, count)
        low = np.floor(positions - self.scale / 2 + (0.5 + _AT_A_VOXEL))
        high = np.ceil(positions + self.scale / 2 + (0.5 - _AT_A_VOXEL)) - 1
        low, high = (np.clip(index, 0, self.extent - 1).astype(np.int64) for index in (low, high))
        return low, high

    def area(self, first: int, count: int) -> tuple[int, np.ndarray]:
        """The source voxels that each target voxel covers, and by what share of it.

        Along an axis on which target voxels are no larger than source voxels, these are the weights of `linear`.

        Returns:
            the first source voxel that counts, and weights (float32), target x source voxels, whose rows have sum 1.
        """
        positions = self.positions(first, count)
        if self.scale <= 1:
            low, high, weight = self.linear(first, count)
            begin, end = int(low[0]), int(high[-1]) + 1
            matrix = np.zeros((count, end - begin), np.float32)
            np.add.at(matrix, (np.arange(count), low - begin), 1 - weight)
            np.add.at(matrix, (np.arange(count), high - begin), weight)
            return begin, matrix
        first_source, last_source = self.covered(first, count)
        begin, end = int(first_source[0]), int(last_source[-1]) + 1
        source = np.arange(begin, end)
        upper, lower = (positions + side * self.scale / 2 for side in (1, -1))
        overlap = np.minimum(upper[:, None], source + 0.5) - np.maximum(lower[:, None], source - 0.5)
        matrix = np.clip(overlap, 0, None)
        matrix[matrix < _AT_A_VOXEL] = 0
        outside = matrix.sum(axis=1) == 0  # beyond the border its voxel counts
        matrix[outside, np.where(positions[outside] < begin, 0, -1)] = 1
        return begin, (matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32)


def gather(block: np.ndarray, indices: Sequence[np.ndarray]) -> np.ndarray:
    """Pick voxels of a block C D H W by their indices along z, y, x; returns C d h w."""
    for axis, index in enumerate(indices, start=1):
        if not np.array_equal(index, np.arange(block.shape[axis])):
            block = block.take(index, axis=axis)
    return block


def interpolate(
    block: np.ndarray,
    taps: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    values: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Linear interpolation of a block, C D H W.

    Each result depends on its up to eight voxels alone, so that parts agree with the whole to the last bit.

    Args:
        block: source voxels as stored.
        taps: per axis what `AxisMap.linear` returns, counted from the block's first voxel.
        values: turns stored numbers C D H W into float32; may add channels.

    Returns:
        float32, channels as `values` returns them.
    """
    (low, high, weight), y_tap, x_tap = taps
    step = max(1, _SLAB_VOXELS // (block.shape[0] * block.shape[2] * block.shape[3]))
    channels = len(values(block[:, :1, :1, :1]))
    found = np.empty((channels, *(len(low) for low, _, _ in taps)), np.float32)
    with np.errstate(invalid="ignore"):  # infinities become NaN, as they would in any sum
        for first in range(0, len(low), step):
            part = slice(first, first + step)
            slab = _between(block, (low[part], high[part], weight[part]), 1, values)
            _between(_between(slab, y_tap, 2), x_tap, 3, out=found[:, part])
    return found


def average(
    block: np.ndarray, matrices: Sequence[np.ndarray], values: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Weighted means of a block, C D H W, along one axis after the other; NaN where one that counts is NaN.

    Args:
        block: source voxels as stored.
        matrices: weights of each axis, as `AxisMap.area` returns them, from the block's first voxel.
        values: turns stored numbers C D H W into float32.

    Returns:
        float32.
    """
    array = values(block)
    unknown = ~np.isfinite(array)
    if unknown.any():  # 0 x NaN would reach voxels that do not count it
        missing = _averaged(unknown.astype(np.float32), matrices) > 0
        return np.where(missing, np.float32(np.nan), _averaged(np.where(unknown, 0, array), matrices))
    return _averaged(array, matrices)


def _averaged(array: np.ndarray, matrices: Sequence[np.ndarray]) -> np.ndarray:
    for axis, matrix in enumerate(matrices, start=1):
        array = np.moveaxis(np.tensordot(matrix, array, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(array, np.float32)


def _between(
    array: np.ndarray,
    tap: tuple[np.ndarray, np.ndarray, np.ndarray],
    axis: int,
    values: Callable[[np.ndarray], np.ndarray] | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """low + weight x (high - low) along one axis of C D H W."""
    low, high = (array.take(index, axis=axis, mode="clip") for index in tap[:2])  # clip skips a check
    if values is not None:
        low, high = values(low), values(high)
    high -= low
    high *= tap[2].reshape([-1 if n == axis else 1 for n in range(4)])
    total: np.ndarray = np.add(low, high, out=low if out is None else out)
    return total
