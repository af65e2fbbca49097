"""Watershed against the lowest pass from every seed, and balls of known extent."""

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.segmentation import volumes

from scripts.geometry.neighbours import half_neighbourhood
from scripts.segmentation import depth, distance_peaks, place_seeds, seeded_watershed

seeds_ = st.integers(0, 2**32 - 1)


def lowest_passes(landscape, start, mask, connectivity):
    """For each voxel the height of the lowest pass on the way from a seed (Dijkstra with maxima)."""
    passes = np.full(landscape.shape, np.inf)
    half = half_neighbourhood(landscape.ndim, connectivity)
    steps = [tuple(sign * s for s in offset) for offset in half for sign in (1, -1)]
    heap = [(landscape[start], start)]
    while heap:
        height, place = heapq.heappop(heap)
        if passes[place] <= height:
            continue
        passes[place] = height
        for step in steps:
            there = tuple(a + b for a, b in zip(place, step, strict=True))
            if all(0 <= a < n for a, n in zip(there, landscape.shape, strict=True)) and mask[there]:
                heapq.heappush(heap, (max(height, landscape[there]), there))
    return passes


@pytest.mark.parametrize("connectivity", [1, 3])
@settings(max_examples=40, deadline=None)
@given(seed=seeds_, levels=st.sampled_from([3, 1000]))
def test_every_voxel_goes_to_a_seed_with_the_lowest_pass(connectivity, seed, levels):
    rng = np.random.default_rng(seed)
    landscape = rng.integers(0, levels, (4, 5, 6)) / levels
    mask = rng.random(landscape.shape) < 0.8
    places = [tuple(place) for place in rng.permutation(np.argwhere(mask))[:4].tolist()]
    seeds = np.zeros(landscape.shape, np.uint64)
    numbers = [5, 2**33, volumes.HUGE, 2**64 - 1][: len(places)]
    for place, number in zip(places, numbers, strict=True):
        seeds[place] = number
    labels = seeded_watershed(landscape, seeds, mask, connectivity)
    passes = np.stack([lowest_passes(landscape, place, mask, connectivity) for place in places])
    reached = np.isfinite(passes).any(axis=0)
    assert np.array_equal(labels > 0, reached)
    for number, own in zip(numbers, passes, strict=True):
        assert (own[labels == number] == passes.min(axis=0)[labels == number]).all()
    assert all(labels[place] == number for place, number in zip(places, numbers, strict=True))


@pytest.mark.parametrize("spacing", volumes.SPACINGS)
def test_touching_balls_are_parted_at_the_plane_between_them(spacing):
    centres = [(15.0, 12.0, 12.0), (15.0, 25.0, 12.0)]
    shape = tuple(round(n / step) for n, step in zip((30, 38, 24), spacing, strict=True))
    truth = volumes.balls(shape, centres, [8.0, 8.0], spacing)
    y = np.indices(shape)[1] * spacing[1]
    truth = np.where(truth > 0, np.where(y < 18.5, 1, 2), 0)
    distance = depth(truth > 0, spacing)
    seeds = place_seeds(distance_peaks(distance, spacing, sigma=1.0, min_distance=6.0), shape)
    labels = seeded_watershed(-distance, seeds, truth > 0)
    wrong = np.count_nonzero(labels != truth)
    assert wrong <= 0.01 * np.count_nonzero(truth)


@settings(max_examples=25, deadline=None)
@given(seed=seeds_, cuts=volumes.cut_positions(), levels=st.sampled_from([2, 1000]))
def test_blocks_with_a_halo_agree_with_the_whole_volume(seed, cuts, levels):
    """Balls of 5 voxels across that do not touch, several seeds in each, ties of height included."""
    rng = np.random.default_rng(seed)
    mask = volumes.balls((12, 12, 18), [(z, y, x) for z in (2, 8) for y in (3, 9) for x in (2, 8, 14)], [2.3] * 12) > 0
    landscape = rng.integers(0, levels, mask.shape)
    seeds = np.where(mask & (rng.random(mask.shape) < 0.1), np.arange(mask.size).reshape(mask.shape) + 2**40, 0)
    whole = seeded_watershed(landscape, seeds, mask)
    for block in volumes.cut(mask.shape, cuts):
        halo = block.grown(mask.shape, by=4)
        labels = seeded_watershed(landscape[halo.box], seeds[halo.box], mask[halo.box])
        assert np.array_equal(labels[block.within(halo)], whole[block.box])


def test_a_ridge_parts_two_basins_by_hand():
    landscape = np.array([[0, 1, 5, 1, 0, 0]])
    seeds = np.array([[7, 0, 0, 0, 0, 2**40]], np.uint64)
    labels = seeded_watershed(landscape, seeds)
    assert labels[0, [0, 1]].tolist() == [7, 7]
    assert labels[0, [3, 4, 5]].tolist() == [2**40] * 3


def test_a_part_of_the_mask_without_seed_stays_background():
    mask = np.array([[True, True, False, True]])
    labels = seeded_watershed(np.zeros((1, 4)), np.array([[0, 1, 0, 0]]), mask)
    assert labels.tolist() == [[1, 1, 0, 0]]


def test_unknown_voxels_may_lie_outside_the_mask_only():
    landscape = np.array([[0.0, np.nan]])
    seeds = np.array([[3, 0]])
    assert seeded_watershed(landscape, seeds, np.array([[True, False]])).tolist() == [[3, 0]]
    with pytest.raises(ValueError, match="landscape must be finite within the mask"):
        seeded_watershed(landscape, seeds)


@pytest.mark.parametrize("mask", [None, np.zeros((2, 3), bool)])
def test_without_seeds_or_mask_there_is_nothing(mask):
    assert not seeded_watershed(np.zeros((2, 3)), np.zeros((2, 3), int), mask).any()


def test_faulty_input_is_refused():
    landscape = np.zeros((2, 3))
    with pytest.raises(TypeError, match="seeds must hold whole numbers in an integer dtype, got float64"):
        seeded_watershed(landscape, landscape)
    with pytest.raises(ValueError, match=r"seeds has shape \(3, 2\), but the array .* has \(2, 3\)"):
        seeded_watershed(landscape, np.zeros((3, 2), int))
    with pytest.raises(ValueError, match=r"mask has shape \(1, 3\)"):
        seeded_watershed(landscape, np.zeros((2, 3), int), np.ones((1, 3), bool))
    with pytest.raises(ValueError, match=r"connectivity must be 1 or 2 .*got 3"):
        seeded_watershed(landscape, np.zeros((2, 3), int), connectivity=3)
