"""Over-segmentation into fragments, small pieces of objects that are merged afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.affines import check_spacing
from .inputs import Array, check_mask, check_probability, check_spatial
from .relabelling import smallest_dtype
from .seeds import depth, distance_peaks, place_seeds
from .watershed import seeded_watershed


def watershed_fragments(
    boundary: Any,
    spacing: Sequence[float],
    *,
    level: float = 0.5,
    sigma: float = 0.0,
    min_distance: float = 0.0,
    mask: Any = None,
    per_slice: bool = False,
) -> tuple[Array, int]:
    """Watershed of a boundary map from the maxima of the distance to the boundary.

    Affinities become a boundary map by `affinities_to_boundary`. For one block of a volume, compute with a halo, cut it
    off, and number the fragments of each block on from those of the others; fragments never reach across blocks, and
    agglomeration merges them there as anywhere.

    Args:
        boundary: probability D H W or H W, 1 = boundary.
        spacing: physical size of a voxel along each axis.
        level: what a voxel must exceed to be boundary when distances are measured.
        sigma, min_distance: smoothing and distance of the seeds, physical length; see `distance_peaks`.
        mask: boolean of the same shape, where there may be objects; `None`: everywhere.
        per_slice: whether each z slice is cut up by itself, for slices that are far apart.

    Returns:
        labels 1..n in the smallest unsigned dtype, and n; 0 outside the mask and in parts of the mask that are nothing
        but boundary.

    Raises:
        TypeError: when the boundary is stored as integers.
        ValueError: when it is not within 0..1, a shape differs, or `per_slice` is asked for H W.
    """
    values = check_probability(check_spatial(boundary, "boundary"), "boundary")
    size = check_spacing(spacing, values.ndim)
    inside = np.ones(values.shape, dtype=bool) if mask is None else check_mask(mask, values.shape)
    if not per_slice:
        return _fragments(values, size, level, sigma, min_distance, inside)
    if values.ndim != 3:
        raise ValueError(f"per_slice needs a boundary D H W, got shape {values.shape}")
    slices, n = [], 0
    for plane, plane_mask in zip(values, inside, strict=True):  # D H W -> H W
        labels, count = _fragments(plane, size[1:], level, sigma, min_distance, plane_mask)
        slices.append(np.where(labels > 0, labels.astype(np.int64) + n, 0))
        n += count
    stacked = np.stack(slices) if slices else np.zeros(values.shape, np.int64)
    return stacked.astype(smallest_dtype(n)), n


def _fragments(
    boundary: Array,
    spacing: tuple[float, ...],
    level: float,
    sigma: float,
    min_distance: float,
    mask: NDArray[np.bool_],
) -> tuple[Array, int]:
    distance = depth(mask & (boundary <= level), spacing)
    peaks = distance_peaks(distance, spacing, sigma=sigma, min_distance=min_distance)
    return seeded_watershed(boundary, place_seeds(peaks, boundary.shape), mask), len(peaks)
