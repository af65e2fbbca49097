"""Shares by hand."""

import pytest

from scripts.metrics import Counts


def test_shares_by_hand():
    counts = Counts(true_positives=4, false_positives=1, false_negatives=3)
    assert counts.precision == pytest.approx(4 / 5)
    assert counts.recall == pytest.approx(4 / 7)
    assert counts.f1 == pytest.approx(8 / 12)
    assert counts.jaccard == pytest.approx(4 / 8)


def test_counts_add_up():
    assert Counts(1, 2, 3) + Counts(10, 20, 30) == Counts(11, 22, 33)
    assert sum([Counts(1, 0, 0), Counts(0, 1, 2)], Counts()) == Counts(1, 1, 2)


def test_nothing_anywhere_is_right_and_nothing_on_one_side_is_wrong():
    nothing = Counts()
    assert nothing.precision == nothing.recall == nothing.f1 == nothing.jaccard == 1
    for counts in (Counts(false_positives=2), Counts(false_negatives=2)):
        assert counts.precision == counts.recall == counts.f1 == counts.jaccard == 0
