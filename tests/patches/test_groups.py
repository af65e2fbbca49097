"""Which boxes are read and searched together."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.patches import search_oracle

from scripts.patches import groups
from scripts.patches.groups import group_labels, islands, join_boxes

boxes = st.lists(
    st.tuples(st.tuples(*[st.integers(0, 40)] * 3), st.tuples(*[st.integers(1, 9)] * 3)), min_size=1, max_size=14
)


def test_flush_boxes_are_read_together_up_to_a_limit():
    row = [((0, 0, x), (2, 2, 4)) for x in (0, 4, 8, 16, 20)] + [((0, 2, 24), (2, 2, 4))]
    assert join_boxes(row, 48) == [((0, 0, 0), (2, 2, 12)), ((0, 0, 16), (2, 2, 8)), ((0, 2, 24), (2, 2, 4))]
    assert join_boxes(row, 1) == row
    block = [((z, y, x), (4, 4, 4)) for z in (0, 4) for y in (4, 8) for x in (8, 12)]
    assert join_boxes(block, 10**6) == [((0, 4, 8), (8, 8, 8))]
    assert join_boxes(block, 256) == [((0, 4, 8), (4, 8, 8)), ((4, 4, 8), (4, 8, 8))]
    assert join_boxes(block[:-1], 10**6) == [((0, 4, 8), (4, 8, 8)), ((4, 4, 8), (4, 4, 8)), ((4, 8, 8), (4, 4, 4))]


@settings(max_examples=60, deadline=None)
@given(cells=st.sets(st.tuples(*[st.integers(0, 4)] * 3)), most=st.sampled_from([1, 12, 10**6]))
def test_joined_boxes_cover_the_same_voxels_once(cells, most):
    size = (2, 3, 2)
    boxes = sorted((tuple(n * s for n, s in zip(cell, size, strict=True)), size) for cell in cells)
    covered = np.zeros((10, 15, 10), int)
    for start, extent in join_boxes(boxes, most):
        covered[tuple(slice(s, s + n) for s, n in zip(start, extent, strict=True))] += 1
        assert np.prod(extent) <= max(most, 12)
    expected = np.zeros_like(covered)
    for start, extent in boxes:
        expected[tuple(slice(s, s + n) for s, n in zip(start, extent, strict=True))] = 1
    np.testing.assert_array_equal(covered, expected)


@settings(max_examples=60, deadline=None)
@given(boxes=boxes, patch=st.tuples(*[st.integers(1, 6)] * 3))
def test_islands_lie_more_than_a_patch_apart(boxes, patch):
    boxes = sorted(set(boxes))
    parts = islands(boxes, patch)
    assert sorted(itertools.chain(*parts)) == list(range(len(boxes)))
    for a, b in itertools.combinations(parts, 2):
        for i, j in itertools.product(a, b):
            (low_a, size_a), (low_b, size_b) = boxes[i], boxes[j]
            gaps = [max(low_b[k] - low_a[k] - size_a[k], low_a[k] - low_b[k] - size_b[k]) for k in range(3)]
            assert any(gap >= n for gap, n in zip(gaps, patch, strict=True))


def test_far_boxes_are_islands_of_their_own():
    assert islands([((0, 0, 0), (4, 4, 4)), ((0, 0, 10**6), (4, 4, 4))], (4, 4, 4)) == [[0], [1]]
    assert islands([], (4, 4, 4)) == []


@settings(max_examples=60, deadline=None)
@given(boxes=boxes, patch=st.tuples(*[st.integers(1, 9)] * 3), few=st.sampled_from([2, 4096]))
def test_groups_equal_uniting_one_by_one(boxes, patch, few):
    """By pairs of rows and by a tree of neighbours alike."""
    labels = np.array([(start, np.add(start, size)) for start, size in boxes])
    before, groups._FEW = groups._FEW, few
    try:
        found = group_labels(labels, (0, 0, 0), (50, 50, 50), patch)
    finally:
        groups._FEW = before
    expected = search_oracle.groups(labels, (0, 0, 0), (50, 50, 50), patch)
    assert list(map(tuple, found.reshape(-1, 6).tolist())) == sorted((*low, *high) for low, high in expected)
