"""Ids keep their values; what is no id is refused in words."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from scripts.metrics.label_arrays import check_ids, compact_ids, label_array, label_pair, run_starts


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint64])
def test_dtypes_stay_as_they_are(dtype):
    ids = np.array([0, 3, np.iinfo(dtype).max], dtype=dtype)
    array = label_array(ids, "truth")
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, ids)


def test_booleans_tensors_and_lists_are_labels():
    np.testing.assert_array_equal(label_array(np.array([True, False]), "truth"), [1, 0])
    np.testing.assert_array_equal(label_array(torch.tensor([[2, 7]], dtype=torch.int16), "truth"), [[2, 7]])
    np.testing.assert_array_equal(label_array(torch.tensor([True]), "truth"), [1])
    np.testing.assert_array_equal(label_array([[1, 2]], "truth"), [[1, 2]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.array([0.0, 300.0], np.float32),
            r"truth has dtype float32; expected whole.*\.astype\(np\.uint64\) converts them$",
        ),
        (np.array([0.0, -1.0, 3.0]), r"float64; .*\.astype\(np\.int64\) converts them$"),
        (torch.tensor([1.0, 0.25]), r"float32; .*; 0\.25 is no id: threshold or segment it first"),
        (np.array([1, np.inf]), r"float64; .*; inf is no id"),
        (np.array(["a"]), r"truth has dtype <U1; expected whole numbers as ids$"),
    ],
    ids=["whole numbers", "negative ones", "probabilities", "infinite", "text"],
)
def test_what_is_no_id_is_refused_with_advice(values, message):
    with pytest.raises(TypeError, match=message):
        label_array(values, "truth")


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"prediction has shape \(2, 3\), but truth has \(3, 2\); bring it onto"):
        label_pair(np.zeros((2, 3), int), np.zeros((3, 2), int), None)
    with pytest.raises(ValueError, match=r"known has shape \(2,\), but truth has \(3,\)"):
        label_pair([1, 2, 3], [1, 2, 3], np.ones(2, bool))
    with pytest.raises(TypeError, match=r"known has dtype uint8; expected booleans"):
        label_pair([1], [1], np.ones(1, np.uint8))


def test_negative_ids_are_refused():
    with pytest.raises(ValueError, match=r"prediction holds the id -1; .* left out by `known`"):
        check_ids(np.array([3, -1], np.int8), "prediction")
    check_ids(np.array([2**64 - 1], np.uint64), "prediction")


def test_runs_begin_where_either_array_changes():
    np.testing.assert_array_equal(run_starts(np.array([1, 1, 2, 2, 2]), np.array([5, 5, 5, 6, 6])), [0, 2, 3])
    assert len(run_starts(np.zeros(0, int))) == 0


@settings(deadline=None)
@given(labels=arrays(np.uint64, array_shapes(max_dims=3, max_side=5), elements=st.sampled_from([0, 7, 2**40, 2**63])))
def test_compact_ids_number_the_objects_as_they_come(labels):
    names = {0: 0}
    expected = [names.setdefault(int(value), len(names)) for value in labels.flat]
    compact, number = compact_ids(labels, "truth")
    assert number == len(names) - 1
    assert compact.dtype == np.int32
    np.testing.assert_array_equal(compact, np.reshape(expected, labels.shape))


def test_compact_ids_refuse_negative_ones():
    with pytest.raises(ValueError, match="truth holds the id -3"):
        compact_ids(np.array([[0, -3]]), "truth")
