"""Which predicted object is which true one, and the scores that follow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .assignment import best_pairs
from .contingency import Contingency, as_contingency
from .counts import Counts
from .label_arrays import Labels
from .object_overlaps import ObjectOverlaps, object_overlaps

AVERAGE_PRECISION_THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
"""IoU thresholds of `mean_average_precision`: 0.5, 0.55 ... 0.95."""


@dataclass(frozen=True)
class Matching:
    """Pairs of a predicted and a true object, one to one, and how many objects have no partner."""

    prediction_ids: NDArray[np.uint64]
    truth_ids: NDArray[np.uint64]
    iou: NDArray[np.float64]
    counts: Counts


def match_objects(
    prediction: Labels | Contingency,
    truth: Labels | None = None,
    *,
    threshold: float = 0.5,
    known: Labels | None = None,
) -> Matching:
    """Match predicted with true objects, one to one, where their IoU is at least a threshold.

    As many pairs as possible are made, and among these choices the one of largest summed IoU. Above 0.5 no object has
    a choice; below, the best partner of each in turn would not do, and the assignment problem is solved exactly.
    (StarDist and Cellpose match in the same way; panoptic quality is defined with IoU above 0.5 instead of from 0.5.)

    Args:
        prediction: predicted ids, any shape, or a `Contingency` of both arrays (merged over the blocks of a volume).
        truth: true ids, same shape.
        threshold: least IoU of a pair, above 0 and at most 1.
        known: booleans of the same shape; voxels where it is False count nowhere.

    Raises:
        TypeError: for arrays that do not hold whole numbers.
        ValueError: when shapes differ, for negative ids, or a threshold out of range.
    """
    return _matching(object_overlaps(as_contingency(prediction, truth, known)), threshold)


def matching_scores(matchings: Matching | Iterable[Matching]) -> dict[str, float]:
    """Scores of one matching, or of those of several volumes together, whose objects are pooled.

    Where there are no objects in truth and prediction, every score is 1; otherwise a score of nothing is 0.

    Returns:
        `true_positives`, `false_positives`, `false_negatives`, `precision`, `recall`, `f1`, `average_precision`
        (TP / (TP + FP + FN)), and of Kirillov et al. 2019 `segmentation_quality` (mean IoU of the pairs),
        `recognition_quality` (the same as F1) and their product `panoptic_quality`.
    """
    several = [matchings] if isinstance(matchings, Matching) else list(matchings)
    counts = sum((matching.counts for matching in several), Counts())
    iou = np.concatenate([np.zeros(0), *(matching.iou for matching in several)])
    segmentation = counts.share(math.fsum(iou), len(iou))
    return {
        "true_positives": counts.true_positives,
        "false_positives": counts.false_positives,
        "false_negatives": counts.false_negatives,
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "average_precision": counts.jaccard,
        "segmentation_quality": segmentation,
        "recognition_quality": counts.f1,
        "panoptic_quality": segmentation * counts.f1,
    }


def mean_average_precision(
    prediction: Labels | Contingency,
    truth: Labels | None = None,
    *,
    thresholds: Sequence[float] = AVERAGE_PRECISION_THRESHOLDS,
    known: Labels | None = None,
) -> float:
    """Mean over IoU thresholds of the average precision TP / (TP + FP + FN), as StarDist and Cellpose call it.

    There is no confidence and no curve in it, unlike in the average precision of object detection.

    Args:
        prediction: see `match_objects`.
        truth: see `match_objects`.
        thresholds: least IoU of a pair.
        known: see `match_objects`.

    Raises:
        TypeError: for arrays that do not hold whole numbers.
        ValueError: as `match_objects`, or for no thresholds.
    """
    if not len(thresholds):
        raise ValueError("thresholds is empty; expected at least one IoU above 0 and at most 1")
    overlaps = object_overlaps(as_contingency(prediction, truth, known))
    return math.fsum(_matching(overlaps, threshold).counts.jaccard for threshold in thresholds) / len(thresholds)


def _matching(overlaps: ObjectOverlaps, threshold: float) -> Matching:
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}; expected an IoU above 0 and at most 1")
    near = np.flatnonzero(overlaps.iou >= threshold)
    # one more pair is worth more than all IoUs
    weights = overlaps.iou[near] + len(overlaps.truth_ids)
    pairs = near[best_pairs(overlaps.predicted[near], overlaps.true[near], weights)]
    n_predicted, n_true = len(overlaps.prediction_ids), len(overlaps.truth_ids)
    return Matching(
        overlaps.prediction_ids[overlaps.predicted[pairs]],
        overlaps.truth_ids[overlaps.true[pairs]],
        overlaps.iou[pairs],
        Counts(len(pairs), n_predicted - len(pairs), n_true - len(pairs)),
    )
