"""Variation of information against scikit-image and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import metrics

from scripts.metrics import Contingency, variation_of_information


def _labels(seed, ids=6):
    return np.random.default_rng(seed).integers(0, ids, (2, 4, 5, 6))


@settings(deadline=None)
@given(seed=st.integers(0, 999), ids=st.integers(2, 20))
def test_equals_scikit_image(seed, ids):
    seg, truth = _labels(seed, ids)
    expected = metrics.variation_of_information(truth, seg, ignore_labels=(0,))
    assert variation_of_information(seg, truth) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("seg", "truth", "expected"),
    [
        ([1, 1, 2, 2], [5, 5, 5, 5], (1, 0)),
        ([5, 5, 5, 5], [1, 1, 2, 2], (0, 1)),
        ([1, 2, 3, 4], [1, 1, 2, 2], (1, 0)),
        ([7, 7, 9, 9], [2, 2, 1, 1], (0, 0)),
        ([0, 0, 1, 1], [5, 5, 5, 5], (1, 0)),
        ([1, 1, 2, 9, 9], [5, 5, 5, 0, 0], (np.log2(3) - 2 / 3, 0)),
    ],
    ids=["halves", "merged halves", "single voxels", "renamed", "half missed", "truth 0 is ignored"],
)
def test_by_hand(seg, truth, expected):
    assert variation_of_information(np.array(seg), np.array(truth)) == pytest.approx(expected)


def test_names_and_blocks_do_not_matter():
    """To the last bit: swapped ids, ids beyond 32 bits, and the sum of blocks."""
    seg, truth = _labels(3)
    expected = variation_of_information(seg, truth)
    names = np.array([0, 2**63, 5, 2**40, 1, 2], np.uint64)
    assert variation_of_information(seg, names[truth]) == expected
    assert variation_of_information(names[seg], truth) == expected
    table = Contingency.of(seg[:1], truth[:1])
    table.merge(Contingency.of(seg[1:], truth[1:]))
    assert variation_of_information(table) == expected


def test_unknown_voxels_do_not_count():
    seg, truth = _labels(4)
    known = np.random.default_rng(5).random(truth.shape) < 0.5
    assert variation_of_information(seg, truth, known=known) == variation_of_information(seg[known], truth[known])
    assert variation_of_information(seg, truth, known=known) != variation_of_information(seg, truth)


def test_nothing_that_counts_is_0():
    empty, full = np.zeros((3, 3), int), np.arange(9).reshape(3, 3)
    assert variation_of_information(empty, empty) == variation_of_information(full, empty) == (0, 0)


def test_floats_are_refused():
    with pytest.raises(TypeError, match="prediction has dtype float64"):
        variation_of_information(np.ones(3), np.ones(3, int))
