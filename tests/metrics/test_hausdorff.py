"""Hausdorff distances against distance transforms of whole arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.distance import directed_hausdorff

from scripts.metrics.hausdorff import hausdorff_distance


def _by_transforms(first, second, spacing):
    to_first, to_second = (ndimage.distance_transform_edt(~mask, sampling=spacing) for mask in (first, second))
    return max(to_second[first].max(), to_first[second].max())


def _blob(seed, shape):
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 1.5)
    return smooth > np.quantile(smooth, 0.9)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(1, 17), min_size=2, max_size=3),
    spacing=st.lists(st.sampled_from([0.3, 1.0, 4.0, 8.0, 25.0]), min_size=3, max_size=3),
    density=st.sampled_from([0.01, 0.3, 0.9]),
    seed=st.integers(0, 999),
)
def test_scattered_voxels_of_any_spacing(shape, spacing, density, seed):
    first, second = np.random.default_rng(seed).random((2, *shape)) < density
    first.flat[seed % first.size] = second.flat[-1] = True
    spacing = np.array(spacing[: len(shape)])
    found = hausdorff_distance(first, second, spacing)
    assert found == pytest.approx(_by_transforms(first, second, spacing), rel=1e-12)
    assert found == hausdorff_distance(second, first, spacing)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (40.0, 4.0, 4.0), (2.0, 7.0, 3.0)])
@pytest.mark.parametrize("seed", range(3))
def test_large_objects_in_their_common_box(seed, spacing):
    """Also where a set holds the other one, and where it lies in a hollow of the other."""
    first, second = _blob(seed, (30, 40, 50)), _blob(seed + 10, (30, 40, 50))
    shell = ndimage.binary_dilation(second, iterations=3) & ~second
    for a, b in ((first, second), (first | second, second), (shell, second)):
        (box,) = ndimage.find_objects((a | b).astype(int))
        expected = _by_transforms(a, b, spacing)
        assert hausdorff_distance(a[box], b[box], np.array(spacing)) == pytest.approx(expected, rel=1e-12)


def test_equals_scipy_between_points():
    first, second = _blob(1, (20, 20)), _blob(2, (20, 20))
    points = [np.argwhere(mask) * (3, 1) for mask in (first, second)]
    expected = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
    assert hausdorff_distance(first, second, np.array([3.0, 1.0])) == pytest.approx(expected)


def test_the_same_set_is_at_no_distance():
    mask = _blob(0, (9, 9, 9))
    assert hausdorff_distance(mask, mask, np.ones(3)) == 0
