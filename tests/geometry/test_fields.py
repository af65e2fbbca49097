"""Distances, boundaries and growth against brute force over all pairs of voxels, planes and spheres."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from scripts.geometry.fields import dilate, signed_distance, smooth, touching

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 1.0, 1.5)]
small_ids = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).integers(0, 3, (4, 5, 3)))


def grid(shape, spacing):
    """Physical position of each voxel, N D, in the order of `ravel`."""
    return np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1).reshape(-1, len(shape)) * spacing


def brute_force(ids, spacing, per_instance):
    """Per voxel the nearest voxel on the other side, among all pairs; ties may differ only in direction."""
    where, flat = grid(ids.shape, spacing), ids.ravel()
    lowest, highest = np.full(flat.shape, np.nan), np.full(flat.shape, np.nan)
    for i, own in enumerate(flat):
        other = flat != own if per_instance and own else (flat > 0) != (own > 0)
        if not other.any():
            continue
        steps = where[other] - where[i]
        length = np.linalg.norm(steps, axis=1)
        nearest = np.isclose(length, length.min())
        half = np.linalg.norm(steps[nearest] * spacing, axis=1) / length[nearest] / 2
        sign = 1 if own else -1
        values = sign * (length.min() - half)
        lowest[i], highest[i] = values.min(), values.max()
    return lowest.reshape(ids.shape), highest.reshape(ids.shape)


@pytest.mark.parametrize("per_instance", [False, True])
@pytest.mark.parametrize("spacing", SPACINGS)
@settings(max_examples=25, deadline=None)
@given(ids=small_ids)
def test_distance_equals_brute_force(spacing, per_instance, ids):
    lowest, highest = brute_force(ids, np.array(spacing), per_instance)
    found = signed_distance(ids, spacing, per_instance)
    assert found.dtype == np.float32
    assert np.array_equal(np.isnan(found), np.isnan(lowest))
    known = ~np.isnan(found)
    assert (found[known] >= lowest[known] - 1e-5).all()
    assert (found[known] <= highest[known] + 1e-5).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_distance_to_a_plane_is_exact(axis):
    spacing = (3.0, 1.0, 1.5)
    index = np.indices((8, 8, 8))[axis]
    expected = (4.5 - index) * spacing[axis]  # the boundary runs midway between voxels 4 and 5
    np.testing.assert_allclose(signed_distance((index <= 4).astype(int), spacing), expected, rtol=1e-6)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_distance_to_a_sphere_is_within_half_a_voxel(spacing):
    shape = tuple(round(50 / size) for size in spacing)
    radius = np.linalg.norm(grid(shape, spacing) - [24, 26, 25], axis=1).reshape(shape)
    error = signed_distance((radius < 17).astype(int), spacing) - (17 - radius)
    assert np.abs(error).max() < 0.75 * max(spacing)
    assert abs(np.median(error)) < 0.25 * max(spacing)


def test_distance_without_any_boundary_is_unknown():
    assert np.isnan(signed_distance(np.zeros((3, 3), int), (1.0, 1.0))).all()
    assert np.isnan(signed_distance(np.ones((3, 3), int), (1.0, 1.0))).all()
    assert np.isnan(signed_distance(np.ones((3, 3), int), (2.0, 1.0), per_instance=True)).all()


def test_instances_that_fill_the_array_are_parted():
    ids = np.array([[1, 1, 7, 7, 7]])
    expected = [[3, 1, 1, 3, 5]]
    np.testing.assert_allclose(signed_distance(ids, (1.0, 2.0), per_instance=True), expected)
    assert np.isnan(signed_distance(ids, (1.0, 2.0))).all()


def test_huge_ids_need_no_table():
    ids = np.array([[0, 2**60, 2**60, 5, 0]])
    np.testing.assert_allclose(signed_distance(ids, (1.0, 1.0), per_instance=True), [[-0.5, 0.5, 0.5, 0.5, -0.5]])


@settings(max_examples=25, deadline=None)
@given(ids=small_ids)
def test_touching_equals_a_look_at_each_neighbour(ids):
    expected = np.zeros(ids.shape, bool)
    for place in np.ndindex(ids.shape):
        for axis in range(3):
            for step in (-1, 1):
                other = list(place)
                other[axis] += step
                if 0 <= other[axis] < ids.shape[axis]:
                    expected[place] |= ids[place] != ids[tuple(other)]
    assert np.array_equal(touching(ids), expected)


@pytest.mark.parametrize("spacing", SPACINGS)
@settings(max_examples=25, deadline=None)
@given(ids=small_ids, radius=st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.5]))
def test_dilation_takes_a_nearest_object_within_the_radius(spacing, ids, radius):
    ids = np.where(np.random.default_rng(ids.sum()).random(ids.shape) < 0.3, ids, 0)
    grown = dilate(ids, spacing, radius)
    where, flat = grid(ids.shape, spacing), ids.ravel()
    for i, value in enumerate(grown.ravel()):
        length = np.linalg.norm(where[flat > 0] - where[i], axis=1)
        if flat[i] or not len(length) or length.min() > radius + 1e-6:
            assert value == flat[i]
        else:
            assert value in flat[flat > 0][np.isclose(length, length.min())]


def test_dilation_along_unequal_axes_by_hand():
    ids = np.zeros((5, 7), int)
    ids[2, 3] = 4
    expected = np.zeros((5, 7), int)
    expected[2, 1:6] = 4
    assert np.array_equal(dilate(ids, (3.0, 1.0), 2.0), expected)
    expected[[1, 3], 3] = 4
    expected[2, 0:7] = 4
    assert np.array_equal(dilate(ids, (3.0, 1.0), 3.0), expected)


@pytest.mark.parametrize("axis", [0, 1])
def test_smoothing_a_step_gives_the_error_function_in_physical_units(axis):
    spacing = (2.0, 0.5)
    index = np.indices((40, 80))[axis]
    middle = index.shape[axis] // 2
    found = smooth(index >= middle, spacing, sigma=4.0)
    position = (index - middle + 0.5) * spacing[axis]
    np.testing.assert_allclose(found, 0.5 * (1 + erf(position / (4 * np.sqrt(2)))), atol=4e-3)
