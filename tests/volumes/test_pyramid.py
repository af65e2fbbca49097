import numpy as np
import pytest

from scripts.volumes import NORMAL_INT8, Grid
from scripts.volumes.pyramid import coarser, count_levels, downsampler, halving


@pytest.mark.parametrize(
    ("shape", "spacing", "factors"),
    [
        pytest.param((8, 8, 8), (1, 1, 1), (2, 2, 2), id="isotropic"),
        pytest.param((8, 8, 8), (2, 1, 1), (1, 2, 2), id="z-waits"),
        pytest.param((8, 8, 8), (1.5, 1, 1), (2, 2, 2), id="nearly-isotropic"),
        pytest.param((1, 8, 8), (1, 1, 1), (1, 2, 2), id="2d"),
        pytest.param((1, 8, 8), (0.1, 1, 1), (1, 2, 2), id="2d-thin-slice"),
        pytest.param((1, 1, 1), (1, 1, 1), (1, 1, 1), id="one-voxel"),
    ],
)
def test_halving(shape, spacing, factors):
    assert halving(shape, spacing) == factors


def test_coarser_moves_by_half_a_voxel():
    grid = Grid((2.0, 0.5, 0.5), (10.0, 0.0, -1.0), "um")
    assert coarser((5, 8, 9), grid, (1, 2, 2), method="mean") == (
        (5, 4, 5),
        Grid((2.0, 1.0, 1.0), (10.0, 0.25, -0.75), "um"),
    )
    # The first of two voxels is where it was.
    assert coarser((5, 8, 9), grid, (1, 2, 2), method="nearest")[1].translation == (10.0, 0.0, -1.0)


def test_count_levels():
    assert count_levels((64, 64, 64), (1, 1, 1), None) == 1
    assert count_levels((200, 65, 10), (1, 1, 1), None) == 3  # 200 -> 100 -> 50
    assert count_levels((8, 8, 8), (1, 1, 1), 4) == 4
    with pytest.raises(ValueError, match=r"\(8, 8, 8\) voxels has at most 4 levels, got 5"):
        count_levels((8, 8, 8), (1, 1, 1), 5)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        count_levels((8, 8, 8), (1, 1, 1), 0)


def test_mean_is_that_of_the_voxels_there():
    row = np.array([1, 2, 5, 6, 9], dtype=np.uint8).reshape(1, 1, 1, 5)
    np.testing.assert_array_equal(downsampler("mean", None)(row, (1, 1, 2)).ravel(), [2, 6, 9])  # 1.5, 5.5: to even
    array = np.random.default_rng(0).normal(size=(2, 4, 6, 8)).astype(np.float32)
    expected = array.reshape(2, 2, 2, 3, 2, 4, 2).mean(axis=(2, 4, 6))
    np.testing.assert_allclose(downsampler("mean", None)(array, (2, 2, 2)), expected, rtol=1e-5, atol=1e-6)


def test_mean_leaves_out_nan():
    row = np.array([1.0, np.nan, np.nan, np.nan], dtype=np.float32).reshape(1, 1, 1, 4)
    np.testing.assert_array_equal(downsampler("mean", None)(row, (1, 1, 2)).ravel(), [1.0, np.nan])


def test_mode_against_counting():
    labels = np.random.default_rng(1).integers(-1, 3, size=(1, 4, 5, 6)).astype(np.int16)
    result = downsampler("mode", None)(labels, (2, 2, 2))
    assert result.dtype == np.int16
    for z, y, x in np.ndindex(2, 3, 3):
        values, counts = np.unique(
            labels[0, 2 * z : 2 * z + 2, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2], return_counts=True
        )
        assert result[0, z, y, x] == values[counts == counts.max()].max()


def test_normals_are_averaged_as_vectors():
    stored = np.zeros((3, 1, 1, 6), dtype=np.int8)
    stored[0, 0, 0, :2] = 127, 0  # (1,0,0) and (0,1,0) -> diagonal
    stored[1, 0, 0, 1] = 127
    stored[2, 0, 0, 2] = -127  # with a missing one -> stays
    stored[0, 0, 0, 4:] = 127, -127  # cancel out -> missing
    result = downsampler("normal", NORMAL_INT8)(stored, (1, 1, 2))
    half = round(127 / np.sqrt(2))
    np.testing.assert_array_equal(result[:, 0, 0].T, [[half, half, 0], [0, 0, -127], [0, 0, 0]])


def test_nearest_takes_the_first():
    row = np.arange(5).reshape(1, 1, 1, 5)
    np.testing.assert_array_equal(downsampler("nearest", None)(row, (1, 1, 2)).ravel(), [0, 2, 4])
