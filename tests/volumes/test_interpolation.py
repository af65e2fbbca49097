"""Weights along one axis, against integrals of step functions."""

import numpy as np
import pytest

from scripts.volumes.interpolation import AxisMap, average


@pytest.mark.parametrize(("scale", "extent"), [(2.0, 12), (3.0, 12), (1.5, 12), (2.4, 12)])
def test_area_is_the_mean_over_what_a_voxel_covers(scale, extent):
    """Against the integral of a step function, by many small steps."""
    source = np.random.default_rng(0).random(extent)
    n = round(extent / scale)
    axis = AxisMap(scale, (scale - 1) / 2, extent)
    begin, matrix = axis.area(0, n)
    fine = np.repeat(source, 1000)
    expected = [fine[round(i * scale * 1000) : round((i + 1) * scale * 1000)].mean() for i in range(n)]
    np.testing.assert_allclose(matrix @ source[begin : begin + matrix.shape[1]], expected, atol=1e-5)
    part_begin, part = axis.area(1, n - 1)
    np.testing.assert_allclose(part @ source[part_begin : part_begin + part.shape[1]], expected[1:], atol=1e-5)


def test_area_of_smaller_voxels_is_linear():
    source = np.random.default_rng(0).random(6)
    axis = AxisMap(0.5, -0.25, 6)
    low, high, weight = axis.linear(0, 12)
    begin, matrix = axis.area(0, 12)
    np.testing.assert_allclose(matrix @ source[begin:], source[low] + weight * (source[high] - source[low]), atol=1e-6)


def test_area_beyond_the_border_takes_the_outermost_voxel():
    begin, matrix = AxisMap(2.0, -6.5, 8).area(0, 8)
    assert begin == 0
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    assert matrix[:3, 0].tolist() == [1, 1, 1]


def test_nan_reaches_only_what_counts_it():
    block = np.arange(16, dtype=np.float32).reshape(1, 1, 2, 8)
    block[0, 0, 0, 3] = np.nan
    matrices = [
        AxisMap(step, (step - 1) / 2, n).area(0, round(n / step))[1] for step, n in ((1, 1), (2.0, 2), (2.0, 8))
    ]
    found = average(block, matrices, lambda values: values)
    assert found.shape == (1, 1, 1, 4)
    np.testing.assert_allclose(found[0, 0, 0], [4.5, np.nan, 8.5, 10.5])
