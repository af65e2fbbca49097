"""What is refused, and in which words."""

import numpy as np
import pytest

from scripts.segmentation.inputs import (
    check_affinities,
    check_connectivity,
    check_labels,
    check_length,
    check_mask,
    check_offsets,
    check_probability,
    check_same_shape,
)


def test_whole_numbers_pass_as_they_are():
    labels = np.array([[0, 2**64 - 1]], np.uint64)
    assert check_labels(labels) is labels
    assert check_labels(np.array([[True, False]])).tolist() == [[1, 0]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64])
def test_float_labels_are_refused_even_when_whole(dtype):
    with pytest.raises(TypeError, match=rf"labels must hold whole numbers.*got {np.dtype(dtype)}.*astype\('uint32'\)"):
        check_labels(np.ones((2, 2), dtype))


def test_negative_ids_are_refused():
    with pytest.raises(ValueError, match=r"truth must not be below 0 .*got -1; set unknown voxels to 0"):
        check_labels(np.array([[-1, 3]]), "truth")


@pytest.mark.parametrize("shape", [(4,), (1, 2, 2, 2)])
def test_a_channel_axis_is_refused(shape):
    with pytest.raises(ValueError, match=rf"D H W or H W, without channel axis; got \({shape[0]},"):
        check_labels(np.zeros(shape, int))


def test_masks_are_boolean_and_of_the_right_shape():
    assert check_mask(np.array([[0, 7]]), (1, 2)).tolist() == [[False, True]]
    with pytest.raises(TypeError, match="mask must be boolean, got float64; compare it with a threshold"):
        check_mask(np.zeros((1, 2)), (1, 2))
    with pytest.raises(ValueError, match=r"known has shape \(1, 3\), but the array .* has \(1, 2\)"):
        check_mask(np.zeros((1, 3), bool), (1, 2), "known")
    with pytest.raises(ValueError, match=r"seeds has shape \(2,\)"):
        check_same_shape((2,), (3,), "seeds")


@pytest.mark.parametrize(("ndim", "value"), [(3, 0), (3, 4), (2, 3), (3, 26), (3, True), (3, 1.5)])
def test_unknown_connectivity_is_refused(ndim, value):
    with pytest.raises(ValueError, match=rf"connectivity must be 1.* in {ndim}D, got {value!r}"):
        check_connectivity(value, ndim)


@pytest.mark.parametrize(
    ("offsets", "given"), [([], r"\[\]"), ([[0, 0, 1], [0, 1]], r"\[0, 1\]"), ([[0, 0, 0]], r"\[0, 0, 0\]")]
)
def test_faulty_offsets_are_refused(offsets, given):
    with pytest.raises(ValueError, match=rf"offsets must hold 3 whole steps per channel.*got {given}"):
        check_offsets(offsets, 3)
    with pytest.raises(ValueError, match=r"got \[0, 0.5, 1\]"):
        check_offsets([[0, 0.5, 1]], 3)


def test_affinities_are_probabilities_with_one_offset_per_channel():
    values, offsets = check_affinities(np.ones((1, 2, 2), np.float16), [[0, 1]])
    assert (values.dtype, offsets) == (np.float16, ((0, 1),))
    with pytest.raises(ValueError, match="affinities have 2 channels, but there are 1 offsets"):
        check_affinities(np.ones((2, 2, 2)), [[0, 1]])
    with pytest.raises(ValueError, match=r"K D H W or K H W, got \(2, 2\)"):
        check_affinities(np.ones((2, 2)), [[0, 1]])


@pytest.mark.parametrize("value", [-0.5, 1.5, np.nan])
def test_values_that_are_no_probabilities_are_refused(value):
    with pytest.raises(ValueError, match=rf"boundary must lie within 0 and 1, got .*{value:g}.*sigmoid"):
        check_probability(np.array([[0.5, value]]), "boundary")


def test_stored_bytes_are_no_probabilities():
    with pytest.raises(TypeError, match="must be floats from 0 to 1, got uint8; divide stored uint8 values by 255"):
        check_probability(np.zeros((2, 2), np.uint8), "boundary")
    assert check_probability(np.array([[True]]), "boundary").dtype == np.float32


@pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), "2", True])
def test_lengths_are_finite_and_not_negative(value):
    with pytest.raises(ValueError, match=f"sigma must be a finite number from 0 on, got {value!r}"):
        check_length(value, "sigma")
    assert check_length(0, "sigma") == 0
