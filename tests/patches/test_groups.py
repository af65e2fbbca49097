"""Which boxes are read and searched together."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.patches import search_oracle

from scripts.patches import groups
from scripts.patches.groups import group_labels, islands, join_along_x

boxes = st.lists(
    st.tuples(st.tuples(*[st.integers(0, 40)] * 3), st.tuples(*[st.integers(1, 9)] * 3)), min_size=1, max_size=14
)


def test_neighbours_along_x_are_read_together_up_to_a_limit():
    row = [((0, 0, x), (2, 2, 4)) for x in (0, 4, 8, 16, 20)] + [((0, 2, 24), (2, 2, 4))]
    assert join_along_x(row, 48) == [((0, 0, 0), (2, 2, 12)), ((0, 0, 16), (2, 2, 8)), ((0, 2, 24), (2, 2, 4))]
    assert join_along_x(row, 1) == row


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
    assert sorted(map(tuple, found.reshape(-1, 6).tolist())) == sorted((*low, *high) for low, high in expected)
