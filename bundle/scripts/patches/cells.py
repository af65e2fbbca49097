"""Counts and bounding boxes of labelled voxels: per lattice cell, then per candidate patch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .lattice import AxisLattice


@dataclass(frozen=True)
class Labelled:
    """Labelled voxels of N cells or patches.

    Args:
        index: N 3, position in the lattice along z, y, x.
        count: N, number of labelled voxels.
        low: N 3, smallest labelled voxel coordinate.
        high: N 3, largest labelled voxel coordinate plus one.
    """

    index: np.ndarray
    count: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def bbox_volume(self) -> np.ndarray:
        """N, volume of the box around the labelled voxels."""
        return np.prod(self.high - self.low, axis=1)


def count_cells(labelled: np.ndarray, start: Sequence[int], lattice: Sequence[AxisLattice]) -> Labelled:
    """Count a block's labelled voxels in each lattice cell that it touches.

    Args:
        labelled: D H W bool, the block.
        start: voxel coordinate of the block's first voxel, inside the lattice.
        lattice: the candidates along z, y, x.
    """
    ranges = [axis.cells_in(s, s + n) for axis, s, n in zip(lattice, start, labelled.shape, strict=True)]
    # position within the block at which each touched cell begins
    cuts = [np.maximum(axis.edges[a:b] - s, 0) for axis, (a, b), s in zip(lattice, ranges, start, strict=True)]
    z_cuts, y_cuts, x_cuts = cuts
    by_x = np.logical_or.reduceat(labelled, x_cuts, axis=2)  # D H W -> D H cx
    by_yx = np.logical_or.reduceat(by_x, y_cuts, axis=1)  # D H cx -> D cy cx
    by_zx = np.logical_or.reduceat(by_x, z_cuts, axis=0)  # D H cx -> cz H cx
    by_z = np.logical_or.reduceat(labelled, z_cuts, axis=0)  # D H W -> cz H W
    by_zy = np.logical_or.reduceat(by_z, y_cuts, axis=1)  # cz H W -> cz cy W
    counts = np.add.reduceat(labelled, x_cuts, axis=2, dtype=np.int64)
    counts = np.add.reduceat(np.add.reduceat(counts, y_cuts, axis=1), z_cuts, axis=0)  # cz cy cx

    extents = [_extent(profile, axis, cuts[axis]) for axis, profile in enumerate((by_yx, by_zx, by_zy))]
    occupied = np.nonzero(counts)
    offset = np.array([a for a, _ in ranges])
    return Labelled(
        index=np.stack(occupied, axis=1) + offset,
        count=counts[occupied],
        low=np.stack([low[occupied] + s for (low, _), s in zip(extents, start, strict=True)], axis=1),
        high=np.stack([high[occupied] + s for (_, high), s in zip(extents, start, strict=True)], axis=1),
    )


def merge(parts: Iterable[Labelled]) -> Labelled:
    """Combine the parts that share an index: counts add up, boxes unite."""
    parts = list(parts)
    index = np.concatenate([part.index for part in parts]) if parts else np.zeros((0, 3), np.int64)
    if len(index) == 0:
        empty = np.zeros((0, 3), np.int64)
        return Labelled(empty, np.zeros(0, np.int64), empty, empty)
    unique, inverse = np.unique(index, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    order = np.argsort(inverse, kind="stable")
    first = np.searchsorted(inverse[order], np.arange(len(unique)))
    return Labelled(
        index=unique,
        count=np.add.reduceat(np.concatenate([part.count for part in parts])[order], first),
        low=np.minimum.reduceat(np.concatenate([part.low for part in parts])[order], first, axis=0),
        high=np.maximum.reduceat(np.concatenate([part.high for part in parts])[order], first, axis=0),
    )


def combine_to_patches(cells: Labelled, lattice: Sequence[AxisLattice]) -> Labelled:
    """Sum the occupied cells into every candidate patch that covers them; empty patches do not appear."""
    if len(cells.index) == 0:
        return cells
    first = np.stack([axis.first_patch[cells.index[:, i]] for i, axis in enumerate(lattice)], axis=1)
    number = np.stack([axis.n_patches[cells.index[:, i]] for i, axis in enumerate(lattice)], axis=1)
    parts = []
    for step in itertools.product(*(range(n) for n in number.max(axis=0))):
        covers = np.all(np.array(step) < number, axis=1)
        parts.append(Labelled(first[covers] + step, cells.count[covers], cells.low[covers], cells.high[covers]))
    return merge(parts)


def _extent(profile: np.ndarray, axis: int, cuts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First labelled position, and last plus one, along `axis` within each cell; meaningless where a cell is empty."""
    shape = [1, 1, 1]
    shape[axis] = -1
    position = np.arange(profile.shape[axis]).reshape(shape)
    low = np.minimum.reduceat(np.where(profile, position, profile.shape[axis]), cuts, axis=axis)
    high = np.maximum.reduceat(np.where(profile, position + 1, 0), cuts, axis=axis)
    return low, high
