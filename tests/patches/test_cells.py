"""Counts and boxes per candidate patch against looking at every candidate's voxels."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.patches.bits import pack
from scripts.patches.cells import combine_to_patches, count_cells, merge
from scripts.patches.lattice import axis_lattice

EXTENT = (80, 80, 260)


def by_hand(labelled, start, lattice):
    whole = np.zeros(EXTENT, bool)
    whole[tuple(slice(s, s + n) for s, n in zip(start, labelled.shape, strict=True))] = labelled
    found = {}
    for index in itertools.product(*(range(len(axis.starts)) for axis in lattice)):
        low = np.array([axis.starts[i] for axis, i in zip(lattice, index, strict=True)])
        high = [axis.ends[i] for axis, i in zip(lattice, index, strict=True)]
        where = np.argwhere(whole[tuple(map(slice, low, high))])
        if len(where):
            found[index] = (len(where), tuple(where.min(axis=0) + low), tuple(where.max(axis=0) + low + 1))
    return found


def as_table(found):
    rows = zip(found.index, found.count, found.low, found.high, strict=True)
    return {tuple(index): (count, tuple(low), tuple(high)) for index, count, low, high in rows}


shapes = st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 200))  # up to four words along x


@settings(max_examples=80, deadline=None)
@given(
    shape=shapes,
    start=st.tuples(*[st.integers(0, 50)] * 3),
    patch=st.integers(3, 40),
    stride=st.integers(7, 40),
    cropped=st.integers(0, 4),
    density=st.sampled_from([0.002, 0.1, 0.7]),
    parts=st.booleans(),
    seed=st.integers(0, 99),
)
def test_counts_and_boxes_are_exact(shape, start, patch, stride, cropped, density, parts, seed):
    """In one piece, and cut in two along x; labels outside the lattice do not count."""
    labelled = np.random.default_rng(seed).random(shape) < density
    lattice = [
        axis_lattice(s + cropped, s + max(n - cropped, cropped + 1), 0, extent, patch, stride)
        for s, n, extent in zip(start, shape, EXTENT, strict=True)
    ]
    cuts = [0, shape[2] // 2, shape[2]] if parts and shape[2] > 1 else [0, shape[2]]
    pieces = [pack(labelled[..., a:b], (*start[:2], start[2] + a)) for a, b in itertools.pairwise(cuts)]
    found = combine_to_patches(merge(count_cells(piece, lattice) for piece in pieces), lattice)
    assert as_table(found) == by_hand(labelled, start, lattice)


@pytest.mark.parametrize("x", [0, 63, 64, 127, 128, 191])
def test_a_voxel_at_either_end_of_a_word(x):
    labelled = np.zeros((1, 1, 192), bool)
    labelled[0, 0, x] = True
    lattice = [axis_lattice(0, n, 0, n, n, n) for n in labelled.shape]
    found = combine_to_patches(count_cells(pack(labelled, (0, 0, 0)), lattice), lattice)
    assert as_table(found) == {(0, 0, 0): (1, (0, 0, x), (1, 1, x + 1))}


def test_nothing_labelled_gives_nothing():
    lattice = [axis_lattice(0, 9, 0, 9, 4, 2)] * 3
    found = combine_to_patches(merge([count_cells(pack(np.zeros((9, 9, 9), bool), (0, 0, 0)), lattice)]), lattice)
    assert len(found.count) == 0
