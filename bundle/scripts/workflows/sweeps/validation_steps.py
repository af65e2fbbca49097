"""From affinities, or a foreground, to segmentations for several thresholds, with every step on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...geometry.affinities import direct_offsets
from ...segmentation import (
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
"""Voxels that are drawn in each volume or slice, as many as Contraband draws."""

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
    """Watershed of the boundary from the maxima of a distance, then agglomeration.

    The boundary is 1 less the mean affinity to direct neighbours. The distance is to the nearest voxel of which an
    affinity to the next voxel along an axis is below 0.5: a wall between two objects that touch is one voxel thick.

    With `has_background`, 20 voxels are drawn from the regions where the boundary exceeds 0.5 and that are wider than
    walls between objects that touch; each of these regions in which one lies is a seed of the background. What floods
    from them is background, 0, and takes no part in the agglomeration.

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
    distance = depth(_inside(affinities), spacing)
    peaks = distance_peaks(distance, spacing)
    seeds = place_seeds(peaks, boundary.shape).astype(np.uint64)
    background = len(peaks) + 1
    if has_background:
        seeds[_background(boundary > _LEVEL, seed)] = background
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


def _inside(affinities: Array) -> NDArray[np.bool_]:
    """Voxels all of whose affinities to next voxels are 0.5 or more; the last ones have those to the voxel before."""
    inside = np.ones(affinities.shape[1:], dtype=bool)
    for axis, channel in enumerate(affinities):
        known = np.arange(channel.shape[axis]).clip(max=channel.shape[axis] - 2)
        if channel.shape[axis] > 1:
            inside &= np.take(channel, known, axis) >= _LEVEL
    return inside


def _background(outside: NDArray[np.bool_], seed: int | Sequence[int]) -> NDArray[np.bool_]:
    """Regions of a mask, without parts of one or two voxels in width, that some of their voxels are drawn from."""
    core = ndimage.binary_erosion(outside, border_value=1)
    regions, _ = label_components(ndimage.binary_dilation(core) & outside)
    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(core))[:_BACKGROUND_SEEDS]
    return np.isin(regions, regions.ravel()[drawn])


def segment_foreground(probability: Array, thresholds: Sequence[float]) -> Steps:
    """Connected components of the voxels above each threshold; ids D H W or H W."""
    return Steps(
        {},
        {float(threshold): label_components(probability > threshold)[0].astype(np.uint64) for threshold in thresholds},
    )
