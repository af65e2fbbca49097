"""Tables of objects against a look at each object's voxels, whole and in blocks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.segmentation import volumes

from scripts.segmentation import merge_tables, object_table

shapes = st.tuples(*[st.integers(1, 7)] * 3)
seeds = st.integers(0, 2**32 - 1)


def by_hand(labels):
    rows = {}
    for value in sorted(set(labels.ravel().tolist()) - {0}):
        where = np.argwhere(labels == value)
        low, high = where.min(axis=0), where.max(axis=0) + 1
        cut = [n > 1 and (a == 0 or b == n) for a, b, n in zip(low, high, labels.shape, strict=True)]
        rows[value] = (len(where), tuple(low.tolist()), tuple(high.tolist()), any(cut))
    return rows


def as_rows(table):
    columns = (table.sizes, map(tuple, table.starts.tolist()), map(tuple, table.stops.tolist()), table.touches_border)
    return dict(zip(table.ids.tolist(), zip(*columns, strict=True), strict=True))


@settings(max_examples=60, deadline=None)
@given(shape=shapes, seed=seeds, density=st.sampled_from([0.05, 0.5]))
def test_sizes_boxes_and_borders_are_exact(shape, seed, density):
    labels = volumes.ids(shape, seed, highest=9, density=density)
    table = object_table(labels)
    assert as_rows(table) == by_hand(labels)
    assert len(table) == len(by_hand(labels))


@settings(max_examples=60, deadline=None)
@given(shape=shapes, seed=seeds, cuts=volumes.cut_positions())
def test_tables_of_blocks_add_up(shape, seed, cuts):
    labels = volumes.ids(shape, seed, highest=9, density=0.3).astype(np.uint64) * 2**60
    blocks = volumes.cut(shape, cuts)
    merged = merge_tables(object_table(labels[block.box], block.start, shape) for block in blocks)
    assert as_rows(merged) == by_hand(labels)


def test_tables_made_before_blocks_were_joined_serve_too():
    whole = np.array([[5, 5, 5, 0, 6]])
    tables = [object_table(np.array([[1, 1]]), (0, 0), (1, 5)), object_table(np.array([[2, 0, 3]]), (0, 2), (1, 5))]
    new = np.array([0, 5, 5, 6])
    merged = merge_tables(replace(table, ids=new[table.ids]) for table in tables)
    assert as_rows(merged) == by_hand(whole)


def test_an_object_of_a_single_slice_does_not_touch_that_axis():
    labels = np.zeros((1, 3, 3), int)
    labels[0, 1, 1] = 4
    assert not object_table(labels).touches_border.any()
    assert object_table(np.pad(labels, [(0, 1), (0, 0), (0, 0)])).touches_border.all()


def test_nothing_but_background_has_no_rows():
    empty = object_table(np.zeros((2, 3, 4), bool))
    assert (len(empty), empty.starts.shape) == (0, (0, 3))
    merged = merge_tables([empty, empty])
    assert (len(merged), merged.stops.shape, merged.ids.dtype) == (0, (0, 3), np.uint64)


def test_ids_beyond_uint32_keep_their_rows():
    labels = np.array([[volumes.HUGE, 0, 2**64 - 1]], np.uint64)
    assert object_table(labels).ids.tolist() == [volumes.HUGE, 2**64 - 1]


def test_faulty_places_are_refused():
    labels = np.ones((2, 2), int)
    with pytest.raises(ValueError, match=r"belong together, got offset=\(0, 0\) and volume_shape=None"):
        object_table(labels, (0, 0))
    with pytest.raises(ValueError, match=r"shape \(2, 2\) at \[3, 0\] is not within the volume of shape \[4, 4\]"):
        object_table(labels, (3, 0), (4, 4))
    with pytest.raises(ValueError, match=r"a block of 2 axes got offset=\(0, 0, 0\)"):
        object_table(labels, (0, 0, 0), (4, 4, 4))
    with pytest.raises(ValueError, match="no table to merge"):
        merge_tables([])
    with pytest.raises(TypeError, match="got float64"):
        object_table(labels * 0.5)
