"""Seeds against peaks of known places, a slow search for maxima, and SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from tests.segmentation import volumes

from scripts.segmentation import (
    candidate_peaks,
    depth,
    distance_peaks,
    label_components,
    marker_seeds,
    place_seeds,
    thin_out_peaks,
)

seeds = st.integers(0, 2**32 - 1)
AROUND = np.ones((3, 3, 3))


def slow_peaks(values, height):
    """First highest voxel of each regional maximum after filling maxima up to a height, by repeated dilation."""
    padded = np.pad(values, 1).astype(float)
    filled = padded - height
    while True:
        grown = np.minimum(ndimage.grey_dilation(filled, footprint=AROUND), padded)
        if np.array_equal(grown, filled):
            break
        filled = grown
    peaks = []
    for level in np.unique(filled):
        parts, n = ndimage.label(filled == level, AROUND)
        for part in range(1, n + 1):
            ring = ndimage.binary_dilation(parts == part, AROUND) & (parts != part)
            where = np.argwhere((parts == part) & (padded > 0))
            if len(where) and ring.any() and (filled[ring] < level).all():
                heights = padded[tuple(where.T)]
                peaks.append(tuple((where[np.argmax(heights)] - 1).tolist()))
    return sorted(peaks)


def far_enough(peaks, values, regions, spacing, min_distance):
    """Peaks from the highest down, each kept when no kept one of its region is nearer."""
    kept = []
    for peak in sorted(peaks, key=lambda p: (-float(values[p]), p)):
        steps = [
            np.linalg.norm((np.array(peak) - other) * spacing) for other in kept if regions[other] == regions[peak]
        ]
        if all(step >= min_distance * (1 - 1e-9) for step in steps):
            kept.append(peak)
    return sorted(kept)


def as_tuples(points):
    return [tuple(point) for point in points.tolist()]


@pytest.mark.parametrize("height", [0, 1.5, 3])
@settings(max_examples=40, deadline=None)
@given(seed=seeds, shape=st.tuples(*[st.integers(1, 6)] * 3), highest=st.sampled_from([2, 5, 9]))
def test_peaks_equal_a_slow_search(height, seed, shape, highest):
    values = volumes.ids(shape, seed, highest, density=0.5)
    assert as_tuples(distance_peaks(values, (1, 1, 1), height=height)) == slow_peaks(values, height)


@pytest.mark.parametrize("spacing", volumes.SPACINGS)
@settings(max_examples=40, deadline=None)
@given(seed=seeds, min_distance=st.sampled_from([1.5, 2, 3, 4.5]))
def test_peaks_of_a_region_keep_their_distance(spacing, seed, min_distance):
    values = volumes.ids((5, 6, 7), seed, 9, density=0.4)
    regions, _ = ndimage.label(values > 0, AROUND)
    expected = far_enough(slow_peaks(values, 0), values, regions, np.array(spacing), min_distance)
    assert as_tuples(distance_peaks(values, spacing, min_distance=min_distance)) == expected


@pytest.mark.parametrize("spacing", volumes.SPACINGS)
def test_touching_balls_have_one_peak_each_at_their_centres(spacing):
    centres, radii = [(15.0, 12.0, 12.0), (15.0, 27.0, 12.0)], [9.0, 8.0]
    shape = tuple(round(n / step) for n, step in zip((30, 39, 24), spacing, strict=True))
    mask = volumes.balls(shape, centres, radii, spacing) > 0
    peaks = distance_peaks(depth(mask, spacing), spacing, sigma=1.0, min_distance=6.0)
    found = peaks * np.array(spacing)
    assert len(found) == 2
    assert np.abs(found - centres).max() <= max(spacing)


def test_smoothing_merges_the_peaks_of_a_rough_distance():
    rough = np.add(*np.ogrid[:20, :20]) * 0.0 + 5
    rough[4:16:3, 4:16:3] += 1
    assert len(distance_peaks(rough, (1.0, 1.0))) == 16
    assert len(distance_peaks(rough, (1.0, 1.0), sigma=4.0)) == 1


def test_spacing_decides_which_peaks_are_close():
    values = np.zeros((7, 7)) + 1
    values[0, 0], values[4, 0], values[0, 4] = 9, 8, 7
    assert as_tuples(distance_peaks(values, (1.0, 3.0), min_distance=5.0)) == [(0, 0), (0, 4)]
    assert as_tuples(distance_peaks(values, (3.0, 1.0), min_distance=5.0)) == [(0, 0), (4, 0)]


@settings(max_examples=20, deadline=None)
@given(seed=seeds, cuts=volumes.cut_positions())
def test_peaks_of_blocks_are_the_peaks_of_the_volume(seed, cuts):
    """With a halo of 4 sigma and a voxel, and thinned out together."""
    shape, spacing = (9, 10, 11), (2.0, 1.0, 1.0)
    distance = (np.random.default_rng(seed).random(shape) - 0.2).clip(0).astype(np.float32)
    options = {"sigma": 0.7}
    regions, _ = label_components(distance > 0, 3)
    points, heights = [], []
    for block in volumes.cut(shape, cuts):
        halo = block.grown(shape, by=4)
        found, values = candidate_peaks(distance[halo.box], spacing, **options)
        found = found + halo.start
        own = ((found >= block.start) & (found < block.stop)).all(axis=1)
        points.append(found[own])
        heights.append(values[own])
    points, heights = np.concatenate(points), np.concatenate(heights)
    order = np.lexsort(points.T[::-1])
    points, heights = points[order], heights[order]
    stays = thin_out_peaks(points, heights, regions[tuple(points.T)], spacing, 3.0)
    assert np.array_equal(points[stays], distance_peaks(distance, spacing, min_distance=3.0, **options))


def test_separate_objects_keep_their_seeds_however_close():
    values = np.zeros((3, 9))
    values[1, 1:4], values[1, 5:8] = 3, 2
    assert as_tuples(distance_peaks(values, (1.0, 1.0), min_distance=100.0)) == [(1, 1), (1, 5)]


@pytest.mark.parametrize("spacing", volumes.SPACINGS)
def test_depth_is_the_distance_to_the_nearest_voxel_outside(spacing):
    mask = volumes.ids((6, 7, 8), 3, density=0.8) > 0
    outside = np.argwhere(~mask) * spacing
    expected = [np.linalg.norm(outside - voxel * np.array(spacing), axis=1).min() for voxel in np.argwhere(mask)]
    found = depth(mask, spacing)
    np.testing.assert_allclose(found[mask], expected)
    assert not found[~mask].any()


def test_an_object_that_fills_the_array_has_one_seed():
    full = depth(np.ones((3, 4), bool), (2.0, 1.0))
    assert np.array_equal(full, np.full((3, 4), np.hypot(6, 4)))
    assert as_tuples(distance_peaks(full, (2.0, 1.0), height=1.0, min_distance=2.0)) == [(0, 0)]


@pytest.mark.parametrize("options", [{}, {"height": 1.0}, {"sigma": 1.0}, {"min_distance": 2.0}])
def test_nothing_but_background_has_no_peak(options):
    empty = depth(np.zeros((3, 4, 5), bool), (1.0, 1.0, 1.0))
    assert distance_peaks(empty, (1.0, 1.0, 1.0), **options).shape == (0, 3)


def test_points_become_seeds_in_their_order():
    points = [(0, 1), (2, 0)]
    assert place_seeds(points, (3, 2)).tolist() == [[0, 1], [0, 0], [2, 0]]
    late = place_seeds(points, (3, 2), first_id=2**33)
    assert (late.dtype, late.max()) == (np.uint64, 2**33 + 1)
    assert not place_seeds(np.zeros((0, 2), int), (3, 2)).any()


@pytest.mark.parametrize(("n", "dtype"), [(255, np.uint8), (256, np.uint16)])
def test_the_dtype_holds_every_seed(n, dtype):
    points = np.stack([np.zeros(n, int), np.arange(n)], axis=1)
    seeds_ = place_seeds(points, (1, n))
    assert (seeds_.dtype, seeds_.tolist()) == (dtype, [list(range(1, n + 1))])


def test_markers_are_components_that_are_large_enough():
    probability = np.array([[0.9, 0.2, 0.8, 0.8], [0.1, 0.7, 0.1, 0.8]])
    assert marker_seeds(probability, 0.5)[0].tolist() == [[1, 0, 2, 2], [0, 3, 0, 2]]
    assert marker_seeds(probability, 0.5, connectivity=2)[0].tolist() == [[1, 0, 1, 1], [0, 1, 0, 1]]
    labels, n = marker_seeds(probability, 0.5, min_size=2)
    assert (labels.tolist(), n) == ([[0, 0, 1, 1], [0, 0, 0, 1]], 1)
    assert marker_seeds(probability, 0.95)[1] == 0


def test_faulty_input_is_refused():
    values = np.ones((3, 3))
    with pytest.raises(ValueError, match="height must be a finite number from 0 on, got -1"):
        distance_peaks(values, (1, 1), height=-1)
    with pytest.raises(ValueError, match=r"spacing must hold 2 lengths above 0.*\(1, 1, 1\)"):
        distance_peaks(values, (1, 1, 1))
    with pytest.raises(ValueError, match="distance must be finite everywhere; set unknown voxels to 0"):
        distance_peaks(values * np.nan, (1, 1))
    with pytest.raises(ValueError, match="min_distance must be a finite number from 0 on, got -2"):
        distance_peaks(values, (1, 1), min_distance=-2)
    with pytest.raises(ValueError, match=r"heights has shape \(1,\), but the array .* has \(2,\)"):
        thin_out_peaks([(0, 0), (1, 1)], [3], [1, 1], (1, 1), 2.0)
    with pytest.raises(TypeError, match="mask must be boolean, got float64"):
        depth(values, (1, 1))
    with pytest.raises(ValueError, match=r"point \[3, 0\] lies outside an array of shape \(3, 3\)"):
        place_seeds([(3, 0)], (3, 3))
    with pytest.raises(ValueError, match=r"first_id must be 1 or more .*got 0"):
        place_seeds([(0, 0)], (3, 3), first_id=0)
