"""Matching against MONAI, the dense solver and hand-computed cases."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_panoptic_quality
from scipy.optimize import linear_sum_assignment

from scripts.metrics import (
    AVERAGE_PRECISION_THRESHOLDS,
    Contingency,
    Counts,
    match_objects,
    matching_scores,
    mean_average_precision,
)


def _objects(seed, n=24, count=9):
    """Boxes, shifted and resized at random in the prediction."""
    rng = np.random.default_rng(seed)
    prediction, truth = np.zeros((2, n, n), int)
    for i in range(1, count + 1):
        (y, x), size = rng.integers(0, n - 6, 2), rng.integers(2, 7, 2)
        truth[y : y + size[0], x : x + size[1]] = i
        y, x, height, width = np.array([y, x, *size]) + rng.integers(-1, 2, 4)
        prediction[max(y, 0) : y + height, max(x, 0) : x + width] = count + 1 - i
    return prediction, truth


def _ious(prediction, truth):
    ids = [[i for i in np.unique(labels) if i] for labels in (prediction, truth)]
    return np.array(
        [
            [((prediction == p) & (truth == t)).sum() / ((prediction == p) | (truth == t)).sum() for t in ids[1]]
            for p in ids[0]
        ]
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.53, 0.7])
def test_counts_and_panoptic_quality_equal_monai(seed, threshold):
    prediction, truth = _objects(seed)
    arrays = torch.from_numpy(prediction), torch.from_numpy(truth)
    expected = compute_panoptic_quality(
        *arrays, match_iou_threshold=threshold, remap=True, smooth_numerator=0, output_confusion_matrix=True
    )
    tp, fp, fn, iou_sum = expected.tolist()
    matching = match_objects(prediction, truth, threshold=threshold)
    assert matching.counts == Counts(tp, fp, fn)
    assert matching.iou.sum() == pytest.approx(iou_sum)
    scores = matching_scores(matching)
    assert scores["panoptic_quality"] == pytest.approx(iou_sum / (tp + fp / 2 + fn / 2))


@settings(deadline=None)
@given(seed=st.integers(0, 9999), threshold=st.sampled_from([0.05, 0.2, 0.4, 0.5]))
def test_most_pairs_then_largest_iou_below_one_half(seed, threshold):
    prediction, truth = np.random.default_rng(seed).integers(0, 6, (2, 4, 5))
    iou = _ious(prediction, truth)
    value = np.where(iou >= threshold, iou + 100, 0)
    rows, columns = linear_sum_assignment(value, maximize=True)
    chosen = iou[rows, columns][iou[rows, columns] >= threshold]
    matching = match_objects(prediction, truth, threshold=threshold)
    assert matching.counts.true_positives == len(chosen)
    assert matching.iou.sum() == pytest.approx(chosen.sum())
    for p, t, value in zip(matching.prediction_ids, matching.truth_ids, matching.iou, strict=True):
        assert ((prediction == p) & (truth == t)).sum() / ((prediction == p) | (truth == t)).sum() == value
    assert len(set(matching.prediction_ids)) == len(set(matching.truth_ids)) == len(matching.iou)


def test_the_best_partner_of_each_in_turn_would_lose_a_pair():
    # IoU of prediction 1 with truth 1: 4/9, with truth 2: 3/7; of prediction 2 with truth 1: 2/6
    truth, prediction = np.array([1] * 6 + [2] * 3), np.array([2] * 2 + [1] * 7)
    assert match_objects(prediction, truth, threshold=0.25).counts == Counts(2, 0, 0)
    matching = match_objects(prediction, truth, threshold=0.4)
    assert (matching.prediction_ids.tolist(), matching.truth_ids.tolist()) == ([1], [1])
    assert matching.counts == Counts(1, 1, 1)


def test_scores_by_hand():
    # true objects of 4, 4, 2 and 1 voxels; IoU 1, 3/4, 1/2 and none; one prediction without partner
    truth = np.array([1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 0, 0])
    prediction = np.array([9, 9, 9, 9, 8, 8, 8, 0, 7, 0, 0, 6, 6])
    scores = matching_scores(match_objects(prediction, truth))
    assert scores == pytest.approx(
        {
            "true_positives": 3,
            "false_positives": 1,
            "false_negatives": 1,
            "precision": 3 / 4,
            "recall": 3 / 4,
            "f1": 6 / 8,
            "average_precision": 3 / 5,
            "segmentation_quality": 2.25 / 3,
            "recognition_quality": 3 / 4,
            "panoptic_quality": 2.25 / 4,
        }
    )
    # one pair at 0.8 to 0.95, two at 0.55 to 0.75, three at 0.5
    expected = (3 / 5 + 5 * 2 / 6 + 4 * 1 / 7) / 10
    assert mean_average_precision(prediction, truth) == pytest.approx(expected)
    assert mean_average_precision(prediction, truth, thresholds=[0.5, 0.9]) == pytest.approx((3 / 5 + 1 / 7) / 2)


def test_thresholds_are_those_of_the_convention():
    assert AVERAGE_PRECISION_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def test_volumes_are_pooled_by_objects():
    halves = [match_objects(*_objects(seed)) for seed in (0, 1)]
    pooled = matching_scores(halves)
    counts = halves[0].counts + halves[1].counts
    assert pooled["f1"] == counts.f1
    assert pooled["segmentation_quality"] == pytest.approx(np.concatenate([m.iou for m in halves]).mean())
    assert matching_scores(halves[:1]) == matching_scores(halves[0])


@settings(deadline=None)
@given(seed=st.integers(0, 999), threshold=st.sampled_from([0.1, 0.5]))
def test_names_do_not_matter(seed, threshold):
    rng = np.random.default_rng(seed)
    prediction, truth = rng.integers(0, 6, (2, 4, 5))
    expected = matching_scores(match_objects(prediction, truth, threshold=threshold))
    for _ in range(3):
        new = np.array([0, *rng.permutation([1, 2**32, 2**53, 2**53 + 1, 2**62]).tolist()], np.uint64)
        renamed = match_objects(prediction, new[truth], threshold=threshold)
        assert matching_scores(renamed) == pytest.approx(expected, rel=1e-12)
        assert matching_scores(match_objects(new[prediction], truth, threshold=threshold)) == pytest.approx(expected)


def test_blocks_and_unknown_voxels():
    prediction, truth = _objects(5)
    table = Contingency.of(prediction[:10], truth[:10])
    table.merge(Contingency.of(prediction[10:], truth[10:]))
    assert matching_scores(match_objects(table)) == matching_scores(match_objects(prediction, truth))
    assert mean_average_precision(table) == mean_average_precision(prediction, truth)
    known = np.random.default_rng(1).random(truth.shape) < 0.5
    assert match_objects(prediction, truth, known=known).counts == match_objects(prediction[known], truth[known]).counts


def test_empty_everywhere_is_perfect_and_empty_on_one_side_worthless():
    empty, full = np.zeros(4, int), np.array([1, 1, 2, 2])
    counted = {"true_positives", "false_positives", "false_negatives"}
    for prediction, truth, value in ((empty, empty, 1), (full, empty, 0), (empty, full, 0)):
        scores = matching_scores(match_objects(prediction, truth))
        assert {score for name, score in scores.items() if name not in counted} == {value}
        assert mean_average_precision(prediction, truth) == value
    assert matching_scores([])["f1"] == 1


def test_bad_input():
    with pytest.raises(ValueError, match="threshold is 0; expected an IoU above 0 and at most 1"):
        match_objects([1], [1], threshold=0)
    with pytest.raises(ValueError, match="threshold is 50; expected"):
        mean_average_precision([1], [1], thresholds=[0.5, 50])
    with pytest.raises(ValueError, match="thresholds is empty"):
        mean_average_precision([1], [1], thresholds=[])
    with pytest.raises(TypeError, match="truth has dtype float64"):
        match_objects([1], [1.0])
