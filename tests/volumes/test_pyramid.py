import numpy as np
import pytest

from scripts.volumes import NORMAL_INT8, NORMAL_UINT16, Grid, decode, encode
from scripts.volumes.pyramid import PyramidLevel, coarser, count_levels, downsampler, halving, plan_levels


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


@pytest.mark.parametrize("factors", [(2, 2, 2), (1, 2, 2), (2, 1, 1), (1, 1, 1)], ids=str)
@pytest.mark.parametrize("dtype", ["bool", "u1", "i1", "u2", "i2", "u4", "i4", "i8", "f2", "f4", "f8"])
def test_mean_of_every_type_up_to_its_limits(dtype, factors):
    kind = np.dtype(dtype).kind
    array = np.random.default_rng(0).normal(size=(2, 4, 6, 8)).astype(dtype)
    if kind in "iu":
        limits = np.iinfo(dtype)
        low, high = max(limits.min, -(2**40)), min(limits.max, 2**40)
        array = np.random.default_rng(0).integers(low, high, (2, 4, 6, 8), endpoint=True, dtype=np.int64).astype(dtype)
        array[0] = high
    z, y, x = factors
    cells = array.reshape(2, 4 // z, z, 6 // y, y, 8 // x, x).astype(float).mean(axis=(2, 4, 6))
    result = downsampler("mean", None)(array, factors)
    assert result.dtype == np.dtype(dtype)
    expected = (cells if kind == "f" else np.rint(cells)).astype(dtype)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-15 if kind == "f" else 0)


@pytest.mark.parametrize("dtype", ["bool", "u1", "i4", "u8", "f4"])
@pytest.mark.parametrize("values", [2, 3, 9, 1000])
def test_mode_of_many_cells_against_counting(dtype, values):
    labels = np.random.default_rng(values).integers(0, values, (3, 7, 8, 9)).astype(dtype)
    result = downsampler("mode", None)(labels, (2, 2, 2))
    padded = np.pad(labels, [(0, 0), (0, 1), (0, 0), (0, 1)], mode="edge")
    cells = padded.reshape(3, 4, 2, 4, 2, 5, 2).transpose(0, 1, 3, 5, 2, 4, 6).reshape(3, 4, 4, 5, 8)
    for index in np.ndindex(result.shape):
        found, counts = np.unique(cells[index], return_counts=True)
        assert result[index] == found[counts == counts.max()].max()
    assert result.dtype == np.dtype(dtype)


def test_nan_is_no_mode():
    row = np.array([np.nan, 2.0, np.nan, np.nan], dtype=np.float32).reshape(1, 1, 1, 4)
    np.testing.assert_array_equal(downsampler("mode", None)(row, (1, 1, 2)).ravel(), [2.0, np.nan])


def test_mode_leaves_its_input_alone():
    labels = np.arange(8, dtype=np.uint8).reshape(1, 2, 2, 2)
    for factors in ((2, 2, 2), (1, 1, 1)):
        downsampler("mode", None)(labels, factors)[:] = 99
        np.testing.assert_array_equal(labels.ravel(), np.arange(8))


@pytest.mark.parametrize(
    ("encoding", "dtype", "tolerance"), [(NORMAL_INT8, "i1", 0.01), (NORMAL_UINT16, "u2", 1e-4), (None, "f4", 1e-6)]
)
def test_normals_of_every_encoding_against_the_mean_of_vectors(encoding, dtype, tolerance):
    normals = np.random.default_rng(0).normal(size=(3, 4, 5, 6))
    normals[2] += 3.0
    normals /= np.linalg.norm(normals, axis=0)
    normals[:, :, :, 4:] = 0.0  # none there
    normals[:, 1] = 0.0
    stored = encode(normals, encoding, dtype)
    if encoding is None:
        stored[:, 0, 0, 5] = np.nan
    result = decode(downsampler("normal", encoding)(stored, (2, 2, 2)), encoding)
    vectors = np.pad(
        np.nan_to_num(decode(stored, encoding)).astype(float), [(0, 0), (0, 0), (0, 1), (0, 0)], mode="edge"
    )
    total = vectors.reshape(3, 2, 2, 3, 2, 3, 2).sum(axis=(2, 4, 6))
    length = np.linalg.norm(total, axis=0)
    np.testing.assert_allclose(
        result, np.divide(total, length, where=length > 0, out=np.zeros_like(total)), atol=tolerance
    )


def test_levels_follow_each_other():
    grid = Grid((2.0, 1.0, 1.0), (0.0, 5.0, 5.0), "um")
    levels = plan_levels((5, 9, 8), grid, 3, method="mean")
    assert levels == (
        PyramidLevel((5, 9, 8), grid, (1, 1, 1)),
        PyramidLevel((5, 5, 4), Grid((2.0, 2.0, 2.0), (0.0, 5.5, 5.5), "um"), (1, 2, 2)),
        PyramidLevel((3, 3, 2), Grid((4.0, 4.0, 4.0), (1.0, 6.5, 6.5), "um"), (2, 2, 2)),
    )
