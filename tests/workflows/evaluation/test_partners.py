"""Which objects belong together, and which voxels are wrong, by hand."""

import numpy as np
import pytest
from tests.workflows.evaluation_stores import blocky

from scripts.metrics import Contingency
from scripts.workflows.evaluation.partners import (
    FALSE,
    MISSED,
    OTHER,
    RIGHT,
    UNKNOWN,
    disagreement,
    partner_of,
    partners,
    wrong_voxels,
)

TRUTH = np.array([1, 1, 1, 1, 2, 2, 0, 0, 3, 0])
SPLIT = np.array([7, 7, 7, 8, 9, 9, 9, 5, 0, 0])  # 1 is split into 7 and 8; 9 reaches beyond 2; 5 is nowhere; 3 missed
EVERYWHERE = np.ones(10, bool)


def test_objects_belong_together_that_have_most_voxels_in_common():
    predicted, true = partners(Contingency.of(SPLIT, TRUTH))
    assert dict(zip(predicted.tolist(), true.tolist(), strict=True)) == {7: 1, 9: 2}


def test_of_equal_overlaps_the_smaller_id_counts_whatever_the_order():
    truth = np.array([4, 4, 6, 6])
    for segment in (np.array([3, 3, 3, 3]), np.array([3, 3, 3, 3])[::-1]):
        predicted, true = partners(Contingency.of(segment, truth[: len(segment)]))
        assert (predicted.tolist(), true.tolist()) == ([3], [4])


def test_each_voxel_is_right_missed_false_or_of_another_object():
    table = Contingency.of(SPLIT, TRUTH)
    codes = disagreement(SPLIT, TRUTH, EVERYWHERE, "instance", table)
    assert codes.tolist() == [RIGHT, RIGHT, RIGHT, OTHER, RIGHT, RIGHT, FALSE, FALSE, MISSED, 0]
    assert wrong_voxels(table, "instance") == 4


def test_classes_are_compared_by_their_numbers():
    classes, truth = np.array([1, 2, 0, 2, 0]), np.array([1, 1, 2, 0, 0])
    table = Contingency.of(classes, truth)
    codes = disagreement(classes, truth, EVERYWHERE[:5], "classes", table)
    assert codes.tolist() == [RIGHT, OTHER, MISSED, FALSE, 0]
    assert wrong_voxels(table, "classes") == 3


def test_unknown_voxels_are_neither_right_nor_wrong():
    known = EVERYWHERE.copy()
    known[[3, 8]] = False
    codes = disagreement(SPLIT, TRUTH, known, "instance", Contingency.of(SPLIT, TRUTH, known))
    assert codes[[3, 8]].tolist() == [UNKNOWN, UNKNOWN]


@pytest.mark.parametrize("seed", range(6))
def test_the_count_of_wrong_voxels_is_that_of_the_picture(seed):
    labels, truth = blocky(seed), blocky(seed + 100)
    table = Contingency.of(labels, truth)
    codes = disagreement(labels, truth, np.ones(truth.shape, bool), "instance", table)
    assert wrong_voxels(table, "instance") == np.isin(codes, (MISSED, FALSE, OTHER)).sum()


def test_names_of_objects_do_not_matter_even_beyond_64_bit_floats():
    rename = np.array([0, 2**63 + 5, 2**63 + 6, 1], np.uint64)
    labels, truth = blocky(1, largest=3), blocky(2, largest=3)
    small, large = Contingency.of(labels, truth), Contingency.of(rename[labels], rename[truth])
    assert wrong_voxels(small, "instance") > 0
    named = partner_of(rename[labels], partners(large))
    np.testing.assert_array_equal(named != 0, np.isin(labels, partners(small)[0]) & (labels != 0))


def test_nothing_has_no_partners():
    empty = np.zeros(4, np.uint8)
    table = Contingency.of(empty, empty)
    assert wrong_voxels(table, "instance") == 0
    assert partner_of(np.array([0, 3]), partners(table)).tolist() == [0, 0]
