"""New ids against Python dictionaries; dtypes at their borders; ids that fit into nothing smaller than uint64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.segmentation.volumes import HUGE

from scripts.segmentation import dense_ids, relabel, relabel_sequential, smallest_dtype
from scripts.segmentation.relabelling import in_order_of_first

any_ids = st.sampled_from(
    [[0, 1, 2, 3], [0, 5, 9, 200], [0, 2**40, 2**40 + 3], [0, 7, 2**33, HUGE, 2**64 - 1], [HUGE, HUGE + 1], [4]]
)


@st.composite
def label_arrays(draw):
    ids = draw(any_ids)
    shape = draw(st.tuples(*[st.integers(1, 4)] * 3))
    return np.random.default_rng(draw(st.integers(0, 99))).choice(np.array(ids, np.uint64), shape)


@given(label_arrays())
def test_dense_ids_lead_back_to_the_labels(labels):
    ids, positions = dense_ids(labels)
    assert ids.tolist() == sorted(set(labels.ravel().tolist()) - {0})
    assert np.array_equal(np.insert(ids, 0, 0)[positions], labels)


@given(label_arrays(), st.booleans(), st.integers(0, 99))
def test_relabelling_equals_a_dictionary(labels, keep_others, seed):
    rng = np.random.default_rng(seed)
    known = rng.permutation(np.array([1, 2, 9, 2**40, HUGE, 2**64 - 1], np.uint64))[:4]
    new = rng.choice(np.array([0, 3, 300, 2**50 + 1], np.uint64), 4)
    table = {0: 0} | dict(zip(known.tolist(), new.tolist(), strict=True))
    expected = [table.get(value, value if keep_others else 0) for value in labels.ravel().tolist()]
    found = relabel(labels, known, new, keep_others=keep_others)
    assert found.ravel().tolist() == expected
    assert found.dtype == np.min_scalar_type(max([*expected, *new.tolist()]))


@given(label_arrays())
def test_sequential_numbers_follow_the_ids(labels):
    found, ids = relabel_sequential(labels)
    values, positions = np.unique(labels, return_inverse=True)
    assert np.array_equal(found, positions.reshape(labels.shape) + (values[0] > 0))
    assert np.array_equal(ids, values[values > 0])


@pytest.mark.parametrize(
    ("n", "dtype"),
    [(0, "u1"), (255, "u1"), (256, "u2"), (300, "u2"), (65535, "u2"), (65536, "u4"), (2**32 - 1, "u4"), (2**32, "u8")],
)
def test_the_smallest_dtype_holds_the_highest_id(n, dtype):
    assert smallest_dtype(n) == np.dtype(dtype)


@pytest.mark.parametrize(("n", "dtype"), [(255, "u1"), (256, "u2"), (300, "u2"), (65535, "u2"), (65536, "u4")])
def test_no_object_is_lost_at_the_border_of_a_dtype(n, dtype):
    labels = np.arange(n + 1, dtype=np.uint64).reshape(1, -1) * 2**40
    found, ids = relabel_sequential(labels)
    assert found.dtype == np.dtype(dtype)
    assert np.array_equal(found[0], np.arange(n + 1))
    assert len(ids) == n


def test_joining_and_removing_by_hand():
    labels = np.array([[0, 4, 5, 6, 4]])
    assert relabel(labels, [4, 5], [7, 7]).tolist() == [[0, 7, 7, 0, 7]]
    assert relabel(labels, [4], [0], keep_others=True).tolist() == [[0, 0, 5, 6, 0]]
    assert relabel(labels, [], []).tolist() == [[0, 0, 0, 0, 0]]


def test_blocks_get_the_same_dtype_whatever_they_hold():
    assert relabel(np.array([[1]]), [1, 2], [5, 300]).dtype == np.uint16


def test_nothing_but_background_has_no_ids():
    found, ids = relabel_sequential(np.zeros((2, 3), np.uint64))
    assert (found.dtype, found.any(), len(ids)) == (np.uint8, False, 0)
    assert relabel(np.zeros((0, 3), int), [1], [2]).shape == (0, 3)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_numbers_in_the_order_of_the_first_voxel(values):
    dense = np.unique([0, *values], return_inverse=True)[1][1:]
    table = in_order_of_first(dense, int(dense.max()))
    order = list(dict.fromkeys(dense[dense > 0].tolist()))
    assert table[dense].tolist() == [order.index(value) + 1 if value else 0 for value in dense.tolist()]


def test_faulty_tables_are_refused():
    labels = np.array([[1, 2]])
    with pytest.raises(ValueError, match="one new id per id, got 1 new ids for 2 ids"):
        relabel(labels, [1, 2], [3])
    with pytest.raises(ValueError, match="7 is listed twice"):
        relabel(labels, [7, 2, 7], [1, 2, 3])
    with pytest.raises(TypeError, match=r"new_ids must be whole numbers from 0 on, got float64 \[1.5\]"):
        relabel(labels, [1], [1.5])
    with pytest.raises(TypeError, match=r"ids must be whole numbers from 0 on, got int64 \[-1\]"):
        relabel(labels, [-1], [1])
    with pytest.raises(TypeError, match="whole numbers in an integer dtype, got float64"):
        relabel_sequential(np.ones((2, 2)))
