"""Unique pairs against Python sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.segmentation.id_pairs import group_pairs, unique_pairs

small = st.integers(0, 3)
any_id = st.one_of(small, st.sampled_from([2**32 - 1, 2**32, 2**53 + 1, 2**53 + 2, 2**64 - 1]))


@pytest.mark.parametrize("dtype", [np.uint64, np.int32])
@given(data=st.data())
def test_pairs_come_once_and_in_order(dtype, data):
    element = any_id if dtype == np.uint64 else small
    pairs = data.draw(st.lists(st.tuples(element, element), max_size=12))
    first, second = np.array(pairs, dtype).reshape(-1, 2).T
    found = unique_pairs(first, second)
    assert found.dtype == np.uint64
    assert [tuple(pair) for pair in found.tolist()] == sorted(set(pairs))
    again, group = group_pairs(first, second)
    assert np.array_equal(found, again)
    assert [tuple(pair) for pair in again[group].tolist()] == pairs
