"""Neighbours against a look at every pair of voxels."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.geometry.neighbours import both_ends, half_neighbourhood


@pytest.mark.parametrize(
    ("ndim", "connectivity", "count"), [(3, 1, 6), (3, 2, 18), (3, 3, 26), (2, 1, 4), (2, 2, 8), (1, 1, 2)]
)
def test_offsets_and_their_opposites_are_all_neighbours(ndim, connectivity, count):
    half = half_neighbourhood(ndim, connectivity)
    whole = set(half) | {tuple(-step for step in offset) for offset in half}
    assert len(whole) == 2 * len(half) == count
    assert all(0 < sum(map(abs, offset)) <= connectivity and max(map(abs, offset)) == 1 for offset in whole)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-7, 7)), min_size=1, max_size=3))
def test_both_ends_are_all_pairs_that_lie_in_the_array(axes):
    shape, offset = zip(*axes, strict=True)
    voxels = np.arange(np.prod(shape)).reshape(shape)
    here, there = both_ends(shape, offset)
    found = list(zip(voxels[here].ravel().tolist(), voxels[there].ravel().tolist(), strict=True))
    expected = []
    for place in itertools.product(*map(range, shape)):
        partner = tuple(p + step for p, step in zip(place, offset, strict=True))
        if all(0 <= p < n for p, n in zip(partner, shape, strict=True)):
            expected.append((voxels[place], voxels[partner]))
    assert found == expected
