"""Components against cc3d and a flood fill by hand."""

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.segmentation import volumes

from scripts.segmentation import label_components

NEIGHBOURS = {1: 6, 2: 18, 3: 26}
shapes = st.tuples(*[st.integers(1, 9)] * 3)


@pytest.mark.parametrize("connectivity", [1, 2, 3])
@pytest.mark.parametrize("as_mask", [True, False])
@settings(max_examples=60, deadline=None)
@given(shape=shapes, seed=st.integers(0, 2**32 - 1), density=st.sampled_from([0.1, 0.4, 0.8]))
def test_components_equal_those_of_cc3d(connectivity, as_mask, shape, seed, density):
    array = volumes.ids(shape, seed, density=density)
    array = array > 0 if as_mask else array
    labels, n = label_components(array, connectivity)
    expected = cc3d.connected_components(array.astype(np.uint8), connectivity=NEIGHBOURS[connectivity])
    assert volumes.same_partition(labels, expected)
    _, first = np.unique(labels[labels > 0], return_index=True)
    assert len(first) == n == labels.max(initial=0)
    assert (np.diff(first) > 0).all()  # numbered in the order of the first voxels


def test_objects_that_touch_stay_apart_and_one_id_may_have_several_parts():
    ids = np.array([[7, 7, 2, 0, 7], [0, 2, 2, 0, 7]])
    labels, n = label_components(ids)
    assert n == 3
    assert labels.tolist() == [[1, 1, 2, 0, 3], [0, 2, 2, 0, 3]]


def test_ids_beyond_uint32_stay_apart():
    ids = np.array([[volumes.HUGE, volumes.HUGE + 1, 2**64 - 1, 2**64 - 1 - 2**32]], np.uint64)
    assert label_components(ids)[0].tolist() == [[1, 2, 3, 4]]


def test_diagonal_neighbours_by_hand():
    diagonal = np.eye(3, dtype=bool)
    assert label_components(diagonal, 1)[1] == 3
    assert label_components(diagonal, 2)[1] == 1
    corner = np.zeros((2, 2, 2), bool)
    corner[0, 0, 0] = corner[1, 1, 1] = True
    assert [label_components(corner, c)[1] for c in (1, 2, 3)] == [2, 2, 1]


@pytest.mark.parametrize(("n", "dtype"), [(255, np.uint8), (256, np.uint16), (300, np.uint16)])
@pytest.mark.parametrize("as_mask", [True, False])
def test_the_dtype_holds_the_number_of_components(n, dtype, as_mask):
    array = np.zeros((1, 2 * n), bool if as_mask else np.uint8)
    array[:, ::2] = 1
    labels, count = label_components(array)
    assert (count, labels.dtype, labels.max()) == (n, dtype, n)


@pytest.mark.parametrize("array", [np.zeros((3, 4), bool), np.zeros((3, 4), int), np.zeros((0, 4), bool)])
def test_nothing_to_label_gives_no_component(array):
    labels, n = label_components(array)
    assert (labels.shape, labels.dtype, labels.any(), n) == (array.shape, np.uint8, False, 0)


def test_an_array_in_another_memory_order_is_numbered_alike():
    array = volumes.ids((5, 6, 7), 1) > 0
    assert np.array_equal(label_components(np.asfortranarray(array))[0], label_components(array)[0])


def test_faulty_arrays_are_refused():
    with pytest.raises(TypeError, match="array must hold whole numbers in an integer dtype, got float32"):
        label_components(np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match=r"connectivity must be 1 or 2 .* in 2D, got 3"):
        label_components(np.zeros((2, 2), bool), 3)
