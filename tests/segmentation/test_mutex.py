"""Mutex watershed against a slow rewrite from the paper."""

import itertools
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.segmentation import volumes

from scripts.segmentation import direct_offsets, labels_to_affinities, mutex_watershed

OFFSETS = [(1, 0, 0), (0, -1, 0), (0, 0, 1), (2, 0, 0), (0, 2, -1), (0, 0, -2)]
FLAT = [(1, 0), (0, 1), (0, 3), (3, 0)]
seeds = st.integers(0, 2**32 - 1)


def slow_mutex(affinities, offsets, attractive, mask):
    """Edges by weight; regions as sets, mutual exclusions as pairs of voxels."""
    shape = affinities.shape[1:]
    edges = []
    for channel, offset, pulls in zip(affinities, offsets, attractive, strict=True):
        for place in itertools.product(*map(range, shape)):
            there = tuple(a + b for a, b in zip(place, offset, strict=True))
            if all(0 <= a < n for a, n in zip(there, shape, strict=True)) and mask[place] and mask[there]:
                weight = channel[place] if pulls else 1 - channel[place]
                if weight > 0:
                    edges.append((weight, pulls, place, there))
    region = {tuple(place): frozenset([tuple(place)]) for place in np.argwhere(mask).tolist()}
    exclusive = []
    for _, pulls, a, b in sorted(edges, key=lambda edge: -edge[0]):
        if region[a] == region[b]:
            continue
        if any({region[c], region[d]} == {region[a], region[b]} for c, d in exclusive):
            continue
        if pulls:
            union = region[a] | region[b]
            region.update(dict.fromkeys(union, union))
        else:
            exclusive.append((a, b))
    labels = np.zeros(shape, int)
    for number, members in enumerate(sorted(set(region.values()), key=min), start=1):
        labels[tuple(np.array(sorted(members)).T)] = number
    return labels


@pytest.mark.parametrize("attractive", [None, [True, False, True, False, True, False]])
@settings(max_examples=40, deadline=None)
@given(seed=seeds, masked=st.booleans())
def test_labels_equal_those_of_the_slow_rewrite(attractive, seed, masked):
    """Numbers included: objects are counted in the order of their first voxels."""
    rng = np.random.default_rng(seed)
    shape = (3, 3, 4)
    affinities = rng.permutation(np.linspace(0.001, 0.999, 6 * 36)).reshape(6, *shape) ** 1.1  # all weights differ
    mask = rng.random(shape) < (0.7 if masked else 1)
    labels, n = mutex_watershed(affinities, OFFSETS, attractive=attractive, mask=mask if masked else None)
    pulls = [True] * 3 + [False] * 3 if attractive is None else attractive
    assert np.array_equal(labels, slow_mutex(affinities, OFFSETS, pulls, mask))
    assert n == labels.max()


def test_true_affinities_give_the_objects_back():
    truth = volumes.balls((12, 24, 12), [(6, 6, 6), (6, 17, 6)], [5.5, 5.5]) + 1  # the background is an object, too
    offsets = [*direct_offsets(), (0, 3, 0), (3, 0, 0), (0, 0, 3)]
    affinities = labels_to_affinities(truth, offsets).clip(0).astype(np.float32)
    labels, n = mutex_watershed(affinities, offsets)
    assert n == 3
    assert volumes.same_partition(labels, truth)


def test_repulsion_closes_a_gap_in_the_boundary():
    """Two chambers with a door: direct affinities join them, long ones do not."""
    truth = np.repeat([[1] * 6 + [2] * 6], 7, axis=0)
    affinities = labels_to_affinities(truth, FLAT).clip(0).astype(np.float64)
    affinities[1, 3, 5] = 0.9  # the door: the direct edge between the chambers attracts
    affinities[2, 3, 3:6] = 0.05
    assert mutex_watershed(affinities, FLAT)[1] == 2
    assert mutex_watershed(affinities[:2], FLAT[:2])[1] == 1


def test_strides_take_fewer_repulsive_edges():
    affinities = np.full((2, 1, 6), 0.9)
    affinities[1] = 0
    offsets = [(0, 1), (0, 2)]
    assert mutex_watershed(affinities, offsets)[1] >= 3  # no object holds two voxels that are two steps apart
    some, n = mutex_watershed(affinities, offsets, strides=(1, 4))
    assert n == 2
    assert some[0, 0] != some[0, 2]


def test_a_voxel_that_nothing_attracts_is_an_object():
    affinities = np.array([[[0.0, 0.0, 0.5, 0.0, 0.0]]])
    assert mutex_watershed(affinities, [(0, 1)])[0].tolist() == [[1, 2, 3, 3, 4]]
    assert mutex_watershed(np.zeros((1, 1, 3)), [(0, 1)])[0].tolist() == [[1, 2, 3]]


def test_nothing_outside_the_mask():
    affinities = np.ones((1, 1, 5))
    mask = np.array([[True, True, False, True, False]])
    assert mutex_watershed(affinities, [(0, 1)], mask=mask)[0].tolist() == [[1, 1, 0, 2, 0]]
    labels, n = mutex_watershed(affinities, [(0, 1)], mask=mask & False)
    assert (labels.any(), n) == (False, 0)


def test_offsets_that_leave_the_array_do_no_harm():
    offsets = [(0, 1), (0, 9), (-5, 0), (0, -4)]
    assert mutex_watershed(np.ones((4, 1, 4)), offsets)[0].tolist() == [[1, 1, 1, 1]]
    assert mutex_watershed(np.ones((3, 1, 4)), offsets[1:])[0].tolist() == [[1, 2, 3, 4]]


def test_without_the_wheel_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mwatershed", None)
    with pytest.raises(ImportError, match=r"pip install 'polytome\[instances\]'"):
        mutex_watershed(np.ones((1, 2, 2)), [(0, 1)])


def test_faulty_input_is_refused():
    affinities = np.ones((1, 2, 2))
    with pytest.raises(ValueError, match="affinities must lie within 0 and 1, got -3 to -3"):
        mutex_watershed(affinities * -3, [(0, 1)])
    with pytest.raises(ValueError, match=r"attractive must hold one value per offset, 1; got \[True, False\]"):
        mutex_watershed(affinities, [(0, 1)], attractive=[True, False])
    with pytest.raises(ValueError, match=r"strides must hold 2 whole numbers from 1 on, got \[0, 1\]"):
        mutex_watershed(affinities, [(0, 1)], strides=[0, 1])
    with pytest.raises(ValueError, match=r"mask has shape \(2, 3\)"):
        mutex_watershed(affinities, [(0, 1)], mask=np.ones((2, 3), bool))
