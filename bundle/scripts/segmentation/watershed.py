"""Watershed from seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import segmentation

from .inputs import Array, check_connectivity, check_labels, check_mask, check_same_shape, check_spatial
from .relabelling import dense_ids, smallest_dtype

_SMALLEST_STEP = 1e-300


def seeded_watershed(landscape: Any, seeds: Any, mask: Any = None, connectivity: int = 1) -> Array:
    """Flood a landscape from seeds; each voxel gets the id of the seed whose flood arrives first.

    Voxels of the same height are flooded in the order in which they were reached, seeds in array order first: the
    result depends on the arrays only. For one block of a volume, flood with a halo, from seeds whose ids are those of
    the whole volume, and cut the halo off. Blocks then agree without being joined: exactly where the halo takes in
    every connected part of the mask that reaches into the block, and nearly where it is wider than an object.

    Args:
        landscape: D H W or H W, low inside objects: a boundary prediction, or the negative distance.
        seeds: ids of the same shape, 0 = none; ids up to uint64 stay what they are.
        mask: boolean of the same shape, where there may be objects; `None`: everywhere.
        connectivity: of the flood: 1, 2 or 3 (6, 18 or 26 neighbours).

    Returns:
        ids in the smallest unsigned dtype that holds the largest seed; 0 outside the mask and in parts of the mask
        that hold no seed.

    Raises:
        TypeError: when the seeds are floats.
        ValueError: when shapes differ, or the landscape is not finite within the mask.
    """
    heights = check_spatial(landscape, "landscape")
    starts = check_labels(seeds, "seeds")
    check_same_shape(starts.shape, heights.shape, "seeds")
    connectivity = check_connectivity(connectivity, heights.ndim)
    inside = np.ones(heights.shape, dtype=bool) if mask is None else check_mask(mask, heights.shape)
    if not np.isfinite(heights[inside]).all():
        raise ValueError("the landscape must be finite within the mask; leave unknown voxels out of the mask")
    ids, numbers = dense_ids(starts)
    if not len(ids) or not inside.any():
        return np.zeros(heights.shape, smallest_dtype(int(starts.max(initial=0))))
    heights = _seeds_in_order(np.where(inside, heights, 0).astype(np.float64), numbers)
    flooded = segmentation.watershed(heights, numbers.astype(np.int32), mask=inside, connectivity=connectivity)
    return np.insert(ids, 0, 0).astype(smallest_dtype(int(ids[-1])))[flooded]


def _seeds_in_order(heights: NDArray[np.float64], seeds: Array) -> NDArray[np.float64]:
    """Lower the seeds by a few units in the last place, so that those of one height are flooded in array order.

    scikit-image leaves their order to its heap, in which voxels far away take part: blocks would not agree.
    """
    places = np.flatnonzero(seeds)
    lowered = heights.ravel()
    step = np.maximum(np.abs(np.spacing(lowered[places])), _SMALLEST_STEP)
    lowered[places] -= step * np.arange(len(places), 0, -1)
    return lowered.reshape(heights.shape)
