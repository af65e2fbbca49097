"""CellMap's scores: the published numbers and pooling by hand."""

import math

import numpy as np
import pytest

from scripts.metrics import (
    cellmap_class_score,
    cellmap_instance_counts,
    cellmap_missing_counts,
    cellmap_overall_score,
    cellmap_semantic_counts,
    cellmap_semantic_score,
)


def _counts(tp, fp, fn, distance_sum, distance_count):
    return {"tp": tp, "fp": fp, "fn": fn, "distance_sum": distance_sum, "distance_count": distance_count}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        pytest.param(_counts(1, 0, 0, 1.01 ** -(0.5**0.5), 1), (1, 0.9929887, 0.996488), id="shifted by one voxel"),
        pytest.param(
            [_counts(3, 1, 0, 2.4, 4), _counts(1, 1, 1, 1.0, 2)],
            (8 / 11, 3.4 / 6, 0.6420),
            id="pooled F1 8/11, H 3.4/6",
        ),
        pytest.param(_counts(1, 1, 0, 2 * 0.989557, 2), (2 / 3, 0.989557, 0.812222), id="F1 2/3 with H 0.989557"),
        pytest.param(_counts(2, 0, 0, 2.0, 2), (1, 1, 1), id="identical"),
        pytest.param([_counts(0, 0, 0, 0.0, 0)] * 2, (1, 1, 1), id="empty everywhere"),
        pytest.param(_counts(0, 0, 2, 0.0, 2), (0, 0, 0), id="missing label"),
    ],
)
def test_numbers_of_the_definition(counts, expected):
    found = cellmap_class_score(counts)
    assert tuple(found) == ("f1", "hausdorff", "score")
    assert tuple(found.values()) == pytest.approx(expected, abs=5e-5 if expected[2] == 0.6420 else 5e-7)


@pytest.mark.parametrize(
    ("pred", "truth", "counts", "iou"),
    [
        pytest.param([1, 1, 0, 0], [1, 1, 1, 0], (2, 0, 1), 2 / 3, id="semantic counts TP 2, FP 0, FN 1"),
        pytest.param([0, 0], [0, 0], (0, 0, 0), 1, id="empty everywhere"),
        pytest.param([7, 0], [0, 9], (0, 1, 1), 0, id="any id is foreground"),
    ],
)
def test_semantic_numbers(pred, truth, counts, iou):
    found = cellmap_semantic_counts(np.array([pred]), np.array([truth]))
    assert found == dict(zip(("tp", "fp", "fn"), counts, strict=True))
    assert cellmap_semantic_score(found) == pytest.approx({"iou": iou, "score": iou})


@pytest.mark.parametrize(
    "crops", [pytest.param([(2, 0, 1), (2, 1, 2)], id="semantic pooled 4 of 8"), pytest.param([(4, 1, 3)], id="one")]
)
def test_semantic_counts_are_pooled(crops):
    counts = [dict(zip(("tp", "fp", "fn"), crop, strict=True)) for crop in crops]
    assert cellmap_semantic_score(counts)["iou"] == 0.5


def test_pooling_is_not_the_mean_of_crops():
    crops = [_counts(1, 0, 0, 1.0, 1), _counts(0, 5, 4, 4.5, 9)]
    pooled = cellmap_class_score(iter(crops))
    assert pooled["f1"] == pytest.approx(2 / 11)
    assert pooled["hausdorff"] == pytest.approx(5.5 / 10)


TRUTH = np.array([[1, 1, 0, 300], [0, 0, 0, 300], [2**40, 0, 0, 0]])


def test_a_missing_label_is_worse_than_an_empty_one():
    missing = cellmap_missing_counts("mito", TRUTH)
    assert missing == _counts(0, 0, 3, 0.0, 3)
    crop = cellmap_instance_counts(TRUTH, TRUTH, (4, 4))
    empty = cellmap_instance_counts(np.zeros_like(TRUTH), TRUTH, (4, 4))
    with_missing, with_empty = (cellmap_class_score([crop, other]) for other in (missing, empty))
    assert with_missing["f1"] == with_empty["f1"] == pytest.approx(6 / 9)
    assert with_missing["hausdorff"] == pytest.approx(3 / 6)
    assert with_empty["hausdorff"] == pytest.approx((3 + 3 * 1.01 ** (-6 / 32**0.5)) / 6)


def test_a_missing_semantic_label_misses_every_true_voxel():
    assert cellmap_missing_counts("er", TRUTH) == {"tp": 0, "fp": 0, "fn": 5}


def test_unknown_voxels_are_not_missing():
    known = np.array([[True] * 3 + [False]] * 3)
    assert cellmap_missing_counts("er", TRUTH, known=known) == {"tp": 0, "fp": 0, "fn": 3}
    assert cellmap_missing_counts("cell", TRUTH, known=known)["fn"] == 2
    assert cellmap_semantic_counts(TRUTH > 0, TRUTH, known=known) == {"tp": 3, "fp": 0, "fn": 0}


def test_overall_score_is_a_geometric_mean_of_means():
    scores = {"mito": 0.5, "nuc": 0.7, "er": 0.9, "mito_mem": 0.1, "golgi": 0.2}
    assert cellmap_overall_score(scores) == pytest.approx(math.sqrt(0.6 * 0.4))
    assert cellmap_overall_score({"mito": 0.0, "er": 1.0}) == 0


@pytest.mark.parametrize("scores", [{"mito": 1.0}, {"er": 1.0}, {}], ids=["objects alone", "voxels alone", "none"])
def test_overall_score_needs_both_kinds(scores):
    assert math.isnan(cellmap_overall_score(scores))


def test_bad_input():
    with pytest.raises(ValueError, match="counts is empty; expected those of at least one crop"):
        cellmap_class_score([])
    with pytest.raises(ValueError, match=r"counts lack distance_sum, distance_count; expected tp, .*, got tp, fp, fn"):
        cellmap_class_score([_counts(1, 0, 0, 1.0, 1), {"tp": 1, "fp": 1, "fn": 1}])
    with pytest.raises(TypeError, match=r"prediction has dtype float32; .* 0\.7 is no id: threshold"):
        cellmap_semantic_counts(np.full((2, 2), 0.7, np.float32), np.ones((2, 2), int))
    with pytest.raises(ValueError, match="truth holds the id -1"):
        cellmap_missing_counts("mito", np.array([[-1, 1]]))
