"""Affinities against a look at every pair of voxels."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.segmentation import volumes

from scripts.segmentation import (
    affinities_to_boundary,
    boundary_to_affinities,
    direct_offsets,
    label_components,
    labels_to_affinities,
)

OFFSETS = [(1, 0, 0), (0, -1, 0), (0, 0, 1), (0, 2, -1), (-3, 0, 0), (9, 0, 0)]
seeds = st.integers(0, 2**32 - 1)


def pairs(shape, offset):
    for place in itertools.product(*map(range, shape)):
        partner = tuple(a + b for a, b in zip(place, offset, strict=True))
        if all(0 <= a < n for a, n in zip(partner, shape, strict=True)):
            yield place, partner


@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_the_affinity_at_a_voxel_is_that_of_the_edge_to_voxel_plus_offset(seed):
    labels = volumes.ids((4, 5, 6), seed).astype(np.uint64) * (2**62 + 1)
    known = np.random.default_rng(seed).random(labels.shape) < 0.9
    found = labels_to_affinities(labels, OFFSETS, known)
    expected = np.full((len(OFFSETS), *labels.shape), -1)
    for channel, offset in zip(expected, OFFSETS, strict=True):
        for here, there in pairs(labels.shape, offset):
            if known[here] and known[there]:
                channel[here] = labels[here] == labels[there] != 0
    assert found.dtype == np.int8
    assert np.array_equal(found, expected)


def test_affinities_of_a_line_by_hand():
    labels = np.array([[4, 4, 7, 0, 0]])
    assert labels_to_affinities(labels, [(0, 1)]).tolist() == [[[1, 0, 0, 0, -1]]]
    assert labels_to_affinities(labels, [(0, -1)]).tolist() == [[[-1, 1, 0, 0, 0]]]
    assert labels_to_affinities(labels, [(0, 2)]).tolist() == [[[0, 0, 0, -1, -1]]]


def test_direct_affinities_hold_the_whole_labelling():
    labels = volumes.ids((5, 6, 7), 0)
    parts, n = label_components(labels)
    affinities = labels_to_affinities(labels, direct_offsets())
    again = np.where(labels > 0, np.arange(labels.size).reshape(labels.shape) + 1, 0)  # spread the highest number
    for _ in range(labels.size):
        before = again.copy()
        for channel, offset in zip(affinities, direct_offsets(), strict=True):
            for here, there in pairs(labels.shape, offset):
                if channel[here] == 1:
                    again[here] = again[there] = max(again[here], again[there])
        if np.array_equal(before, again):
            break
    assert volumes.same_partition(again, parts)
    assert len(np.unique(again[again > 0])) == n


def test_a_boundary_on_the_way_parts_two_voxels():
    boundary = np.array([[0.0, 0.0, 0.75, 0.25, 0.0]])
    found = boundary_to_affinities(boundary, [(0, 1), (0, 2), (0, -3), (1, 0)])
    assert found.dtype == np.float32
    assert found[0].tolist() == [[1, 0.25, 0.25, 0.75, 0]]
    assert found[1].tolist() == [[0.25, 0.25, 0.25, 0, 0]]
    assert found[2].tolist() == [[0, 0, 0, 0.25, 0.25]]
    assert found[3].tolist() == [[0, 0, 0, 0, 0]]


def test_the_way_to_a_far_voxel_is_a_straight_line():
    boundary = np.zeros((4, 4))
    boundary[1, 2] = 1
    assert boundary_to_affinities(boundary, [(2, 2)])[0][:2, :2].tolist() == [[1, 0], [1, 1]]
    assert boundary_to_affinities(boundary, [(2, 0)])[0][:2].tolist() == [[1, 1, 0, 1], [1, 1, 0, 1]]
    boundary[1, 1] = 1
    assert boundary_to_affinities(boundary, [(2, 2)])[0][:2, :2].tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize("shape", [(4, 5, 6), (5, 6), (1, 1, 4)])
def test_direct_neighbours_are_the_default(shape):
    boundary = np.random.default_rng(0).random(shape).astype(np.float32)
    found = boundary_to_affinities(boundary)
    for channel, offset in zip(found, direct_offsets(len(shape)), strict=True):
        for here, there in pairs(shape, offset):
            assert channel[here] == 1 - max(boundary[here], boundary[there])


@pytest.mark.parametrize("per_slice", [False, True])
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 5)])
def test_the_boundary_is_what_the_neighbours_on_both_sides_lack(per_slice, shape):
    affinities = np.random.default_rng(1).random((len(OFFSETS), *shape))
    total, count = np.zeros(shape), np.zeros(shape)
    for channel, offset in zip(affinities, OFFSETS[1:3] if per_slice else OFFSETS[:3], strict=False):
        values = affinities[OFFSETS.index(offset)] if per_slice else channel
        for here, there in pairs(shape, offset):
            for end in (here, there):
                total[end] += values[here]
                count[end] += 1
    found = affinities_to_boundary(affinities, OFFSETS, per_slice=per_slice)
    np.testing.assert_allclose(found, 1 - total / count, atol=1e-6)


def test_a_voxel_without_neighbours_has_no_boundary():
    assert affinities_to_boundary(np.zeros((3, 1, 1, 1)), direct_offsets()).tolist() == [[[0]]]


def test_faulty_input_is_refused():
    labels = np.ones((2, 2, 2), int)
    with pytest.raises(TypeError, match="labels must hold whole numbers in an integer dtype, got float64"):
        labels_to_affinities(labels * 1.0, [(0, 0, 1)])
    with pytest.raises(ValueError, match=r"known has shape \(2, 2, 1\)"):
        labels_to_affinities(labels, [(0, 0, 1)], np.ones((2, 2, 1), bool))
    with pytest.raises(ValueError, match=r"offsets must hold 3 whole steps per channel.*got \[0, 1\]"):
        labels_to_affinities(labels, [(0, 1)])
    with pytest.raises(ValueError, match="boundary must lie within 0 and 1, got 3 to 3; apply the sigmoid"):
        boundary_to_affinities(labels * 3.0)
    with pytest.raises(ValueError, match=r"no channel is of direct neighbours: offsets are \[\[0, 0, 2\]\]"):
        affinities_to_boundary(labels[None] * 1.0, [(0, 0, 2)])
    with pytest.raises(ValueError, match="no channel is of direct neighbours within a slice"):
        affinities_to_boundary(labels[None] * 1.0, [(1, 0, 0)], per_slice=True)
