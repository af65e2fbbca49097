"""From affinities, or a foreground, to segmentations for several thresholds, with every step on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.affinities import direct_offsets
from ..segmentation import (
    affinities_to_boundary,
    agglomerate,
    build_region_graph,
    depth,
    distance_peaks,
    label_components,
    place_seeds,
    relabel,
    seeded_watershed,
)

Array = NDArray[Any]

_BACKGROUND_SEEDS = 20
"""In each volume or slice, as Contraband has them."""

_LEVEL = 0.5


@dataclass(frozen=True)
class Steps:
    """What a segmentation is made from, and the segmentations.

    Args:
        arrays: name -> D H W (or H W): boundary, distance, seeds and fragments; of a foreground nothing.
        segmentations: ids of the same shape, by threshold.
    """

    arrays: Mapping[str, Array]
    segmentations: Mapping[float, Array]


def segment_affinities(
    affinities: Array,
    spacing: Sequence[float],
    thresholds: Sequence[float],
    *,
    has_background: bool = False,
    seed: int | Sequence[int] = 0,
) -> Steps:
    """Watershed of the boundary from the maxima of the distance to it, then agglomeration.

    The boundary is 1 less the mean affinity to direct neighbours; distances are from where it exceeds 0.5. With
    `has_background`, further seeds are drawn where the distance is 0, all with one id; what floods from them is
    background, 0, and takes no part in the agglomeration.

    Args:
        affinities: K D H W or K H W, to the next voxel along each axis, 0..1.
        spacing: physical size of a voxel along each axis.
        thresholds: boundary strengths below which fragments are merged, the weakest boundary first.
        has_background: whether there is background to be found.
        seed: of the background's seeds.

    Raises:
        ValueError: for channels that are not one per axis, values out of 0..1, and thresholds out of 0..1.
    """
    dims = affinities.ndim - 1
    if len(affinities) != dims:
        raise ValueError(f"expected affinities along each of {dims} axes, got {len(affinities)} channels")
    offsets = direct_offsets(dims)
    boundary = affinities_to_boundary(affinities, offsets)
    distance = depth(boundary <= _LEVEL, spacing)
    peaks = distance_peaks(distance, spacing)
    seeds = place_seeds(peaks, boundary.shape).astype(np.uint64)
    background = len(peaks) + 1
    if has_background:
        free = np.flatnonzero(distance == 0)
        drawn = np.random.default_rng(seed).permutation(free)[:_BACKGROUND_SEEDS]
        seeds.ravel()[drawn] = background
    fragments = seeded_watershed(boundary, seeds).astype(np.uint64)
    fragments[fragments == background] = 0
    merged = agglomerate(build_region_graph(fragments, affinities, offsets), thresholds)
    segmentations = {
        threshold: relabel(fragments, merged.fragments, segments, keep_others=True)
        for threshold, segments in zip(merged.thresholds, merged.segments, strict=True)
    }
    return Steps(
        {"boundary": boundary, "distance": distance.astype(np.float32), "seeds": seeds, "fragments": fragments},
        {threshold: segmentation.astype(np.uint64) for threshold, segmentation in segmentations.items()},
    )


def segment_foreground(probability: Array, thresholds: Sequence[float]) -> Steps:
    """Connected components of the voxels above each threshold; ids D H W or H W."""
    return Steps(
        {},
        {float(threshold): label_components(probability > threshold)[0].astype(np.uint64) for threshold in thresholds},
    )
