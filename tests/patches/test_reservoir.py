"""The first voxels of a class in their random order, against sorting all of them, one number at a time."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.patches import reservoir
from scripts.patches.reservoir import ClassReservoir, random_keys

MASK = 2**64 - 1


def key(number, seed, stream):
    """SplitMix64's mixing function in Python's integers."""
    shift = int(np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0])
    mixed = (number * 0x9E3779B97F4A7C15 + shift) & MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
    return mixed ^ (mixed >> 31)


def by_sorting(voxels, instances, seed):
    """All voxels in order: rounds over the instances, one voxel of each."""
    of = {}
    for voxel, instance in zip(voxels, instances, strict=True):
        of.setdefault(instance, []).append(voxel)
    order = sorted(of, key=lambda instance: key(instance, seed, 1))
    columns = [sorted(of[instance], key=lambda voxel: key(voxel, seed, 0)) for instance in order]
    rounds = itertools.zip_longest(*([(voxel, i) for voxel in c] for i, c in zip(order, columns, strict=True)))
    return [pair for row in rounds for pair in row if pair is not None]


def fed(voxels, instances, n, seed, n_parts):
    kept = ClassReservoir(n, seed)
    for part in np.array_split(np.arange(len(voxels)), n_parts):
        kept.add(np.array(voxels, np.uint64)[part], np.array(instances, np.uint64)[part])
        assert kept._rows.shape[1] <= 2 * n
    return kept


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    n=st.integers(1, 40),
    seed=st.integers(0, 5),
    n_parts=st.integers(1, 9),
    piece=st.integers(1, 50),
)
def test_what_is_kept_are_the_first_of_all(sizes, n, seed, n_parts, piece):
    rng = np.random.default_rng(seed)
    instances = rng.permutation(np.repeat(rng.choice(2**40, len(sizes), replace=False), sizes)).tolist()
    voxels = rng.choice(2**50, len(instances), replace=False).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reservoir, "_PIECE", piece)
        kept = fed(voxels, instances, n, seed, n_parts)
    assert kept.seen == len(voxels)
    found = list(zip(*(column.tolist() for column in kept.first()), strict=True))
    assert found == by_sorting(voxels, instances, seed)[:n]


def test_keys_look_random_and_differ_by_seed_and_stream():
    numbers = np.arange(100_000, dtype=np.uint64)
    keys = random_keys(numbers, 0, 0)
    assert len(np.unique(keys)) == len(keys)
    # each bit is 1 for half of the numbers, whether or not it was for the number before: 5 sigma
    bits = (keys[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)  # N 64
    assert abs(bits.mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(len(keys))
    assert abs((bits[1:] == bits[:-1]).mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(len(keys))
    assert keys[77] == key(77, 0, 0)
    assert not (keys == random_keys(numbers, 1, 0)).any()
    assert not (keys == random_keys(numbers, 0, 1)).any()


def test_of_many_instances_only_as_many_as_are_wanted_are_kept():
    kept = ClassReservoir(5, 0)
    for first in range(0, 200_000, 50_000):
        numbers = np.arange(first, first + 50_000, dtype=np.uint64)
        kept.add(numbers, numbers // np.uint64(2))
    voxels, instances = kept.first()
    assert len(set(instances.tolist())) == len(voxels) == 5
    assert kept._rows.shape == (4, 5)
    assert instances.tolist() == sorted(range(100_000), key=lambda i: key(i, 0, 1))[:5]
