"""Adapted Rand against scikit-image and by counting pairs of voxels."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import adapted_rand_error

from scripts.metrics import Contingency, adapted_rand


def _labels(seed, ids=5, shape=(4, 5, 6)):
    return np.random.default_rng(seed).integers(0, ids, (2, *shape))


def _by_pairs(seg, truth):
    both = joined = true = 0
    for (a, b), (x, y) in itertools.combinations(zip(seg.flat, truth.flat, strict=True), 2):
        if b and y:
            both += a == x and b == y
            joined += a == x
            true += b == y
    return 1 - 2 * both / (joined + true), both / joined, both / true


@pytest.mark.parametrize("seed", range(5))
def test_equals_counting_all_pairs(seed):
    seg, truth = _labels(seed, shape=(3, 3, 4))
    assert tuple(adapted_rand(seg, truth)) == pytest.approx(_by_pairs(seg, truth))


@settings(deadline=None)
@given(seed=st.integers(0, 999), ids=st.integers(2, 12))
def test_equals_scikit_image_which_swaps_precision_and_recall(seed, ids):
    seg, truth = _labels(seed, ids)
    error, precision, recall = adapted_rand(seg, truth)
    assert (error, recall, precision) == pytest.approx(adapted_rand_error(truth, seg))


def test_splits_cost_recall_and_merges_precision():
    truth, cut = np.array([1, 1, 1, 1, 2, 2]), np.array([1, 1, 2, 2, 3, 3])
    assert adapted_rand(cut, truth) == pytest.approx((1 - 2 * 6 / (6 + 14), 1, 6 / 14))
    assert adapted_rand(truth, cut) == pytest.approx((1 - 2 * 6 / (6 + 14), 6 / 14, 1))


def test_names_blocks_and_unknown_voxels():
    seg, truth = _labels(7)
    expected = adapted_rand(seg, truth)
    names = np.array([0, 2**63, 2**53, 2**53 + 1, 1], np.uint64)
    assert adapted_rand(names[seg], names[truth]) == expected
    table = Contingency.of(seg[:2], truth[:2])
    table.add(seg[2:], truth[2:])
    assert adapted_rand(table) == expected
    known = np.random.default_rng(8).random(truth.shape) < 0.5
    assert adapted_rand(seg, truth, known=known) == adapted_rand(seg[known], truth[known]) != expected


def test_sizes_whose_squares_outgrow_64_bits():
    n = 10**12
    table = Contingency([1, 2], [1, 1], [n, n])
    assert adapted_rand(table) == pytest.approx((1 - 2 / 3, 1, 0.5))


def test_nothing_to_pair_is_no_error():
    empty = np.zeros(4, int)
    assert adapted_rand(empty, empty) == adapted_rand(np.arange(4), empty) == (0, 1, 1)
    assert adapted_rand(np.arange(4), np.arange(1, 5)) == (0, 1, 1)  # single voxels
