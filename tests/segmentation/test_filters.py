"""Filters against scikit-image and tables by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import segmentation
from tests.segmentation import volumes

from scripts.segmentation import keep_objects, label_components, object_table, select_objects

LABELS = np.array([[1, 0, 0, 0, 0], [1, 0, 7, 7, 0], [0, 0, 7, 0, 3], [0, 9, 0, 0, 0], [9, 9, 9, 0, 0]])


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [1, 3, 7, 9]),
        ({"min_size": 2}, [1, 7, 9]),
        ({"max_size": 2}, [1, 3]),
        ({"min_size": 2, "max_size": 3}, [1, 7]),
        ({"drop_border": True}, [7]),
        ({"largest": 1}, [9]),
        ({"largest": 2}, [7, 9]),
        ({"largest": 0}, []),
        ({"largest": 1, "drop_border": True}, [7]),
        ({"min_size": 13.5, "spacing": (3.0, 1.5)}, [7, 9]),
        ({"max_size": 9.0, "spacing": (3.0, 1.5)}, [1, 3]),
    ],
)
def test_objects_that_stay_by_hand(options, kept):
    assert keep_objects(object_table(LABELS), **options).tolist() == kept


def test_of_equal_objects_the_smaller_id_counts_as_larger():
    table = object_table(np.array([[8, 0, 5, 0, 6]]))
    assert keep_objects(table, largest=2).tolist() == [5, 6]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_dropping_the_border_equals_scikit_image(seed):
    labels, _ = label_components(volumes.ids((6, 7, 8), seed, density=0.2) > 0, 3)
    kept = keep_objects(object_table(labels), drop_border=True)
    assert np.array_equal(select_objects(labels, kept), segmentation.clear_border(labels))


def test_other_objects_are_removed():
    kept = np.array([1, 9], np.uint64)
    assert np.array_equal(select_objects(LABELS, kept), np.where(np.isin(LABELS, kept), LABELS, 0))
    numbered = select_objects(LABELS, kept, sequential=True)
    assert numbered[[0, 3, 1], [0, 1, 2]].tolist() == [1, 2, 0]


def test_blocks_number_the_objects_of_the_volume():
    kept = np.array([3, volumes.HUGE, 2**64 - 1], np.uint64)
    block = np.array([[2**64 - 1, 3, 4]], np.uint64)
    assert select_objects(block, kept, sequential=True).tolist() == [[3, 1, 0]]
    assert select_objects(block, kept).tolist() == [[2**64 - 1, 3, 0]]


@pytest.mark.parametrize(("n", "dtype"), [(255, np.uint8), (256, np.uint16), (300, np.uint16)])
def test_three_hundred_instances_stay_three_hundred(n, dtype):
    labels = np.arange(1, n + 1, dtype=np.uint64).reshape(1, n) << np.uint64(33)
    kept = keep_objects(object_table(labels))
    numbered = select_objects(labels, kept, sequential=True)
    assert numbered.dtype == dtype
    assert np.array_equal(np.unique(numbered), np.arange(1, n + 1))


def test_no_objects_give_an_empty_selection():
    empty = np.zeros((2, 3), int)
    kept = keep_objects(object_table(empty), min_size=1, largest=3)
    assert kept.tolist() == []
    assert not select_objects(LABELS, kept).any()


def test_faulty_sizes_are_refused():
    table = object_table(LABELS)
    with pytest.raises(ValueError, match="min_size must be 0 or more, or None; got -2"):
        keep_objects(table, min_size=-2)
    with pytest.raises(ValueError, match="largest must be 0 or more, or None; got -1"):
        keep_objects(table, largest=-1)
    with pytest.raises(ValueError, match="must not be larger than max_size, got 5 and 4"):
        keep_objects(table, min_size=5, max_size=4)
    with pytest.raises(ValueError, match=r"spacing must hold 2 lengths above 0.*\(1.0,\)"):
        keep_objects(table, spacing=(1.0,))
