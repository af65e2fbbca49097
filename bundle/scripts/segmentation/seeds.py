"""Where a watershed starts: one seed per object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, spatial
from skimage import morphology

from ..geometry.affines import check_spacing
from ..geometry.fields import smooth
from .inputs import Array, check_length, check_mask, check_same_shape, check_spatial
from .labelling import label_components
from .relabelling import relabel_sequential, smallest_dtype

_ROUNDING = 1e-9


def depth(mask: Any, spacing: Sequence[float]) -> NDArray[np.float64]:
    """Distance of the voxels of a mask to the nearest voxel outside it (Euclidean distance transform).

    For a boundary prediction the mask is `boundary <= level`. What lies outside the array is not known: where the mask
    fills the array, the distance is the array's diagonal.

    Args:
        mask: boolean D H W or H W.
        spacing: physical size of a voxel along each axis.

    Returns:
        array of the same shape, physical length, 0 outside the mask.

    Raises:
        TypeError: when the mask holds floats.
    """
    inside = check_mask(check_spatial(mask, "mask"), np.shape(mask))
    size = check_spacing(spacing, inside.ndim)
    if inside.all():
        return np.full(inside.shape, np.linalg.norm(np.multiply(inside.shape, size)))
    return ndimage.distance_transform_edt(inside, sampling=size)


def distance_peaks(
    distance: Any,
    spacing: Sequence[float],
    *,
    sigma: float = 0.0,
    height: float = 0.0,
    min_distance: float = 0.0,
) -> NDArray[np.int64]:
    """Maxima of a distance (or of any landscape that is high inside objects) that keep a distance, one voxel each.

    Regions above 0 that do not touch, not even by a corner, do not compete: each keeps its best peak, however close
    another region is, unless `height` removes it.

    Args:
        distance, spacing, sigma, height: see `candidate_peaks`.
        min_distance: physical distance within which a higher peak removes a lower one of its region.

    Returns:
        N x axes voxel positions in array order.

    Raises:
        ValueError: when the distance is not finite, or an option is below 0.
    """
    peaks, heights = candidate_peaks(distance, spacing, sigma=sigma, height=height)
    if not check_length(min_distance, "min_distance"):
        return peaks
    inside = np.asarray(distance) > 0
    regions, _ = label_components(inside, inside.ndim)
    return peaks[thin_out_peaks(peaks, heights, regions[tuple(peaks.T)], spacing, min_distance)]


def candidate_peaks(
    distance: Any, spacing: Sequence[float], *, sigma: float = 0.0, height: float = 0.0
) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    """All maxima of a distance, one voxel each, and how high they are.

    A plateau counts as one maximum: its first voxel in array order. For one block of a volume, compute with a halo of
    1 voxel plus 4 sigma (and as much as an object measures, when `height` is used), keep the peaks that lie in the
    block, and thin out those of all blocks together by `thin_out_peaks`: they are then the peaks of the volume, but for
    plateaus that reach beyond the halo.

    Args:
        distance: D H W or H W; peaks are looked for where it is above 0.
        spacing: physical size of a voxel along each axis.
        sigma: standard deviation of a Gaussian that smooths the distance first, physical length.
        height: what a maximum must exceed the lowest point on the way to any higher one by (h-maxima); outside the
            regions the distance counts as 0.

    Returns:
        N x axes voxel positions in array order; and the N values of the smoothed distance there.

    Raises:
        ValueError: when the distance is not finite, or an option is below 0.
    """
    values = check_spatial(distance, "distance")
    values = values.astype(np.result_type(values, np.float32), copy=False)
    size = check_spacing(spacing, values.ndim)
    sigma, height = check_length(sigma, "sigma"), check_length(height, "height")
    if not np.isfinite(values).all():
        raise ValueError("distance must be finite everywhere; set unknown voxels to 0")
    inside = values > 0
    if sigma:
        values = smooth(values, size, sigma)
    values = np.where(inside, values, 0)
    peaks = _one_voxel_each(_maxima(values, height) & inside, values)
    return peaks, values[tuple(peaks.T)]


def thin_out_peaks(
    points: Any, heights: Any, regions: Any, spacing: Sequence[float], min_distance: float
) -> NDArray[np.bool_]:
    """Which peaks stay when each, from the highest down, removes the others of its region within a distance.

    Args:
        points: N x axes voxel positions; of equal heights the first point counts as higher.
        heights: N values.
        regions: N ids of the regions that the peaks lie in.
        spacing: physical size of a voxel along each axis.
        min_distance: physical distance that peaks of a region must have.

    Returns:
        N booleans.

    Raises:
        ValueError: when there are not as many heights or regions as points, or the distance is below 0.
    """
    places, values, ids = np.asarray(points), np.asarray(heights), np.asarray(regions)
    check_same_shape(values.shape, places.shape[:1], "heights")
    check_same_shape(ids.shape, places.shape[:1], "regions")
    radius = check_length(min_distance, "min_distance") * (1 - _ROUNDING)
    stays = np.ones(len(places), dtype=bool)
    if not radius or not len(places):
        return stays
    physical = places * np.array(check_spacing(spacing, places.shape[1]))
    tree = spatial.cKDTree(physical)
    for peak in np.argsort(-values, kind="stable"):
        if stays[peak]:
            near = np.array(tree.query_ball_point(physical[peak], radius))
            stays[near[ids[near] == ids[peak]]] = False
            stays[peak] = True
    return stays


def place_seeds(points: Any, shape: Sequence[int], first_id: int = 1) -> Array:
    """Array with one id per point, 0 elsewhere.

    Args:
        points: N x axes voxel positions.
        shape: D H W or H W.
        first_id: id of the first point; the others follow.

    Returns:
        the smallest unsigned dtype that holds the ids.

    Raises:
        ValueError: when a point lies outside the shape, or `first_id` is below 1.
    """
    where = np.asarray(points, dtype=np.int64).reshape(-1, len(shape))
    if first_id < 1:
        raise ValueError(f"first_id must be 1 or more (0 is background), got {first_id}")
    outside = ((where < 0) | (where >= np.array(shape))).any(axis=1)
    if outside.any():
        raise ValueError(f"point {where[outside][0].tolist()} lies outside an array of shape {tuple(shape)}")
    highest = first_id + len(where) - 1
    seeds = np.zeros(shape, dtype=smallest_dtype(highest))
    seeds[tuple(where.T)] = np.arange(first_id, highest + 1, dtype=np.uint64)
    return seeds


def marker_seeds(probability: Any, level: float, connectivity: int = 1, min_size: int = 1) -> tuple[Array, int]:
    """Components of a marker prediction (object centres, eroded objects, foreground less boundary) as seeds.

    Args:
        probability: D H W or H W.
        level: what a voxel of a marker exceeds.
        connectivity: 1, 2 or 3 (6, 18 or 26 neighbours).
        min_size: voxels that a marker must have.

    Returns:
        labels 1..n in the order of the markers' first voxels, in the smallest unsigned dtype; and n.

    Raises:
        ValueError: when the connectivity is not known.
    """
    labels, n = label_components(check_spatial(probability, "probability") > level, connectivity)
    large = np.bincount(labels.ravel(), minlength=n + 1) >= min_size
    large[0] = False
    kept, ids = relabel_sequential(np.where(large[labels], labels, 0))
    return kept, len(ids)


def _maxima(values: Array, height: float) -> NDArray[np.bool_]:
    """Regional maxima (plateaus whole); with a height those of the landscape with lower maxima filled up."""
    highest = values.max(initial=0)
    if height:
        values = morphology.reconstruction(values - height, values)
    if values.size and values.min() == values.max():  # scikit-image sees no maximum in a constant array
        return np.full(values.shape, bool(highest > height))
    return morphology.local_maxima(values)


def _one_voxel_each(plateaus: NDArray[np.bool_], values: Array) -> NDArray[np.int64]:
    """The highest voxel of each plateau (of equal ones the first): N x axes, in array order."""
    labels, _ = label_components(plateaus, plateaus.ndim)
    voxels = np.flatnonzero(labels)
    number = labels.ravel()[voxels]
    order = np.lexsort((voxels, -values.ravel()[voxels], number))
    first = np.diff(number[order], prepend=0) > 0
    best = np.sort(voxels[order[first]])
    return np.stack(np.unravel_index(best, plateaus.shape), axis=1)  # N axes
