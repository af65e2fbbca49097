"""Hausdorff distance between two sets of voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

_CELL = 4  # voxels along each axis that are looked at together


def hausdorff_distance(first: NDArray[np.bool_], second: NDArray[np.bool_], spacing: NDArray[np.float64]) -> float:
    """Largest distance from a voxel of either set to the nearest voxel of the other, between voxel centres.

    The array may be any box that holds both sets completely: the nearest voxel of a set lies in the set.

    The result is that of two Euclidean distance transforms, found faster: voxels in both sets have distance 0, and
    the voxel of a set nearest to one outside lies on the set's surface (from any other voxel, a step towards the point
    stays in the set and comes closer). So the voxels in one set alone are looked up in a tree of the other's surface.

    Args:
        first: D H W or H W, with at least one voxel.
        second: same shape, with at least one voxel.
        spacing: physical size of a voxel, one number per axis.
    """
    return max(_farthest(first & ~second, second, spacing), _farthest(second & ~first, first, spacing))


def _farthest(voxels: NDArray[np.bool_], others: NDArray[np.bool_], spacing: NDArray[np.float64]) -> float:
    """Largest distance from one of the voxels to the nearest of the others; 0 without voxels.

    The distance changes by no more than the way does. So a cell of voxels whose centre lies nearer than that of the
    farthest cell by more than two radii cannot hold the farthest voxel, and is not looked at voxel by voxel.
    """
    cells = _cells(voxels)  # cells, then voxels within
    dims = voxels.ndim
    places = np.argwhere(cells.any(axis=tuple(range(dims, 2 * dims))))
    if not len(places):
        return 0.0
    tree = KDTree(np.argwhere(others & ~binary_erosion(others)) * spacing)
    to_centre = (_CELL - 1) / 2
    radius = float(np.linalg.norm(to_centre * spacing))
    distance, _ = tree.query((places * _CELL + to_centre) * spacing)
    places = places[distance >= distance.max() - 2.001 * radius]  # a little more, for rounding
    candidates = np.argwhere(cells[tuple(places.T)])  # N 1+3: number of the cell, place within
    positions = places[candidates[:, 0]] * _CELL + candidates[:, 1:]
    return float(tree.query(positions * spacing)[0].max())


def _cells(voxels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels in cells, D H W -> D/4 H/4 W/4 4 4 4, filled up with False."""
    padded = np.pad(voxels, [(0, -n % _CELL) for n in voxels.shape])
    split = padded.reshape([m for n in padded.shape for m in (n // _CELL, _CELL)])  # D/4 4 H/4 4 W/4 4
    return split.transpose([*range(0, split.ndim, 2), *range(1, split.ndim, 2)])
