"""Resampling to the truth's grid: shifts by hand, scikit-image, and ids beyond any float."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.transform import rescale

from scripts.workflows.submissions.grid import as_mask, to_truth_grid

LINE = np.arange(1, 7, dtype=np.uint16).reshape(1, 1, 6)  # 1 2 3 4 5 6 along x


def along_x(array, spacing, translation, shape, truth_spacing, truth_translation, is_instance=True):
    """Resample a line; spacings and translations are those along x."""
    found = to_truth_grid(
        array, spacing and (1, 1, spacing), translation if translation is None else (0, 0, translation),
        (1, 1, shape), (1, 1, truth_spacing), (0, 0, truth_translation), is_instance,
    )  # fmt: skip
    return found[0, 0].tolist()


@pytest.mark.parametrize(
    ("at", "shape", "expected"),
    [
        pytest.param(100, 6, [1, 2, 3, 4, 5, 6], id="same place"),
        pytest.param(104, 6, [0, 0, 1, 2, 3, 4], id="two voxels on"),
        pytest.param(103.9, 6, [0, 1, 2, 3, 4, 5], id="rounded down"),
        pytest.param(96, 6, [3, 4, 5, 6, 0, 0], id="two voxels before"),
        pytest.param(97, 6, [3, 4, 5, 6, 0, 0], id="rounded down before"),
        pytest.param(99.9999, 6, [1, 2, 3, 4, 5, 6], id="rounding of stored numbers"),
        pytest.param(98, 2, [2, 3], id="smaller truth"),
        pytest.param(102, 9, [0, 1, 2, 3, 4, 5, 6, 0, 0], id="larger truth"),
        pytest.param(112, 6, [0] * 6, id="behind"),
        pytest.param(88, 6, [0] * 6, id="before"),
        pytest.param(None, 8, [1, 2, 3, 4, 5, 6, 0, 0], id="without translation"),
    ],
)
def test_shifts_by_hand(at, shape, expected):
    """Voxels of 2 nm, the truth at 100 nm."""
    assert along_x(LINE, 2, at, shape, 2, 100) == expected
    mask = along_x(LINE > 3, 2, at, shape, 2, 100, is_instance=False)
    assert mask == [value > 3 for value in expected]


def test_what_lies_outside_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        assert along_x(LINE, 2, 200, 6, 2, 100) == [0] * 6
    assert "begins at voxel [0, 0, 50] of its truth lies outside of the truth's box [1, 1, 6]" in caplog.text


def test_resampling_by_hand():
    assert along_x(LINE, 2, 0, 12, 1, 0) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert along_x(LINE, 1, 0, 3, 2, 0) == [2, 4, 6]  # a centre on a border belongs to the upper voxel
    assert along_x(LINE, 2, 4, 8, 1, 2) == [0, 0, 1, 1, 2, 2, 3, 3]  # then shifted by two voxels of the truth
    assert along_x(LINE, 3, 0, 9, 2, 0) == [1, 2, 2, 3, 4, 4, 5, 6, 6]
    # halfway between in and out is 0.5, which is not above 0.5
    assert along_x(np.array([[[0, 1, 0]]]), 2, 0, 6, 1, 0, False) == [False, False, True, True, False, False]


@pytest.mark.parametrize(
    ("extent", "wanted", "expected"),
    [(6, 4, [2, 3, 4, 5]), (6, 3, [2, 3, 4]), (6, 9, [0, 1, 2, 3, 4, 5, 6, 0, 0]), (6, 8, [0, 1, 2, 3, 4, 5, 6, 0])],
)
def test_without_voxel_size_the_middles_meet(extent, wanted, expected):
    assert along_x(LINE[..., :extent], None, 1000, wanted, 2, 0) == expected
    assert along_x(LINE[..., :extent] > 0, None, None, wanted, 2, 0, False) == [value > 0 for value in expected]


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    factors=st.tuples(*[st.sampled_from([0.25, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])] * 3),
    seed=st.integers(0, 1000),
)
def test_as_scikit_image_rescales(shape, factors, seed):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 200, shape).astype(np.uint8)
    truth = tuple(max(round(n * f), 1) for n, f in zip(shape, factors, strict=True))
    grids = (factors, (0, 0, 0), truth, (1, 1, 1), (0, 0, 0))
    expected = rescale(ids, factors, order=0, mode="constant", preserve_range=True)
    np.testing.assert_array_equal(to_truth_grid(ids, *grids, True), expected)
    mask = ids > 100
    values = rescale(mask.astype(np.float32), factors, order=1, mode="constant", preserve_range=True)
    clear = abs(values - 0.5) > 1e-6
    if factors == (1, 1, 1):
        values = mask
    np.testing.assert_array_equal(to_truth_grid(mask, *grids, False)[clear], (values > 0.5)[clear])


def test_finer_masks_are_those_of_scipy():
    """Linear interpolation between voxels' centres, zeros outside, above 0.5."""
    probability = np.random.default_rng(0).random((6, 5, 4)).astype(np.float32)
    found = to_truth_grid(probability, (2, 2, 2), (0, 0, 0), (12, 10, 8), (1, 1, 1), (0, 0, 0), False)
    index = np.stack(np.meshgrid(*[(np.arange(n) + 0.5) / 2 - 0.5 for n in (12, 10, 8)], indexing="ij"))
    expected = ndimage.map_coordinates(probability, index, order=1, mode="grid-constant")
    clear = abs(expected - 0.5) > 1e-5
    np.testing.assert_array_equal(found[clear], expected[clear] > 0.5)


def test_ids_are_never_floats():
    large = np.array([[[2**64 - 1, 2**53 + 1, 2**53]]], np.uint64)
    found = to_truth_grid(large, (1, 1, 2), (0, 0, 0), (1, 1, 6), (1, 1, 1), (0, 0, 0), True)
    assert found.dtype == np.uint64
    assert found[0, 0].tolist() == [2**64 - 1] * 2 + [2**53 + 1] * 2 + [2**53] * 2


def test_masks():
    assert as_mask(np.array([-1, 0, 1, 255])).tolist() == [False, False, True, True]
    assert as_mask(np.array([0.5, 0.51, np.nan])).tolist() == [False, True, False]
    whole = np.array([[[0, 255]]], np.uint8)
    assert along_x(whole, 2, 0, 4, 1, 0, False) == [False, False, True, True]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.zeros((2, 2)), (1, 1, 1)), ValueError, r"expected a prediction D H W; got shape \(2, 2\)"),
        ((np.zeros((2, 2, 2), np.float32), (1, 1, 1)), TypeError, "instances are whole numbers; got float32"),
        ((np.zeros((2, 2, 2), int), (1, 0, 1)), ValueError, r"voxel sizes must be positive; got \(1, 0, 1\)"),
    ],
)
def test_faults(arguments, error, message):
    with pytest.raises(error, match=message):
        to_truth_grid(*arguments, (0, 0, 0), (2, 2, 2), (1, 1, 1), (0, 0, 0), True)
