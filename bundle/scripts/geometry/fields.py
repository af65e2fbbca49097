"""Distances, boundaries, growth and smoothing of label arrays in physical units (plain NumPy arrays).

`ids` are whole numbers, 0 = background, one spatial array without channel axis. What lies outside the array is not
known and counts for nothing: no boundary is seen there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]

_ROUNDING = 1e-6


def signed_distance(ids: Ids, spacing: tuple[float, ...], per_instance: bool = False) -> Floats:
    """Distance to the boundary of the foreground, positive inside, negative outside.

    The boundary runs midway between a voxel and its neighbour: the distance between voxel centres (Euclidean distance
    transform) less half a voxel along the line that joins them. So a voxel whose neighbour along axis a is background
    has distance spacing[a] / 2.

    Args:
        ids: D H W or H W.
        spacing: physical size of a voxel along each axis.
        per_instance: whether a voxel inside is measured to the nearest voxel of any other id, so that touching objects
            are parted; otherwise to the nearest background.

    Returns:
        array of the same shape, physical length; NaN where the array holds no boundary to measure to.
    """
    foreground = ids > 0
    inside = _instance_depth(ids, spacing) if per_instance else _depth(foreground, spacing)
    return np.where(foreground, inside, -_depth(~foreground, spacing))


def touching(ids: Ids) -> NDArray[np.bool_]:
    """Voxels that share a face with a voxel of another id (background is an id of its own).

    Args:
        ids: D H W or H W.

    Returns:
        boolean array of the same shape.
    """
    touches = np.zeros(ids.shape, dtype=bool)
    for axis in range(ids.ndim):
        lower = tuple(slice(None, -1) if a == axis else slice(None) for a in range(ids.ndim))
        upper = tuple(slice(1, None) if a == axis else slice(None) for a in range(ids.ndim))
        differs = ids[lower] != ids[upper]
        touches[lower] |= differs
        touches[upper] |= differs
    return touches


def dilate(ids: Ids, spacing: tuple[float, ...], radius: float) -> Ids:
    """Grow every object into the background by a physical radius; the nearest object wins, none loses a voxel.

    Args:
        ids: D H W or H W.
        spacing: physical size of a voxel along each axis.
        radius: largest distance between the centres of a new voxel and the object's nearest voxel.

    Returns:
        new array of the same shape and dtype.
    """
    background = ids <= 0
    if background.all():
        return ids.copy()
    distance, nearest = ndimage.distance_transform_edt(background, sampling=spacing, return_indices=True)
    reached = background & (distance <= radius * (1 + _ROUNDING))
    return np.where(reached, ids[tuple(nearest)], ids)


def smooth(values: NDArray[np.generic], spacing: tuple[float, ...], sigma: float) -> Floats:
    """Gaussian smoothing with a physical width; the edge values continue outside the array.

    Args:
        values: D H W or H W.
        spacing: physical size of a voxel along each axis.
        sigma: standard deviation, physical length.

    Returns:
        float32 array of the same shape.
    """
    voxels = [sigma / size for size in spacing]
    return ndimage.gaussian_filter(values.astype(np.float32), voxels, mode="nearest")


def _depth(mask: NDArray[np.bool_], spacing: tuple[float, ...]) -> Floats:
    """Distance from each voxel of `mask` to the mask's boundary, zero elsewhere."""
    if mask.all():
        return np.full(mask.shape, np.nan, dtype=np.float32)
    if len(set(spacing)) == 1:
        distance = ndimage.distance_transform_edt(mask, sampling=spacing)
        return np.where(mask, distance - spacing[0] / 2, 0).astype(np.float32)
    distance, nearest = ndimage.distance_transform_edt(mask, sampling=spacing, return_indices=True)
    depth = np.zeros(mask.shape, dtype=np.float32)
    voxels = np.nonzero(mask)
    # half the length of a voxel-sized step along the line to the nearest voxel outside, |S u| / 2 with u its direction
    squared = sum((s * s * (n[voxels] - v)) ** 2 for s, n, v in zip(spacing, nearest, voxels, strict=True))
    length = distance[voxels]
    depth[voxels] = length - np.sqrt(squared) / (2 * length)
    return depth


def _instance_depth(ids: Ids, spacing: tuple[float, ...]) -> Floats:
    """Distance from each foreground voxel to the nearest voxel of another id, zero in the background."""
    depth = np.zeros(ids.shape, dtype=np.float32)
    values, dense = np.unique(np.where(ids > 0, ids, 0), return_inverse=True)
    dense = dense.reshape(ids.shape) + int(values[0] > 0)  # 0 stays background where there is none
    for number, box in enumerate(ndimage.find_objects(dense), start=1):
        if box is None:
            continue
        # one voxel around the object is enough: whatever lies beyond is farther than its projection on that shell
        around = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
        own = dense[around] == number
        depth[around][own] = _depth(own, spacing)[own]
    return depth
