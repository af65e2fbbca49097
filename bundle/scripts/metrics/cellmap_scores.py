"""Scores of classes over all crops, as in the CellMap segmentation challenge."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from .cellmap_instances import CELLMAP_INSTANCE_CLASSES
from .counts import Counts
from .label_arrays import Labels, compact_ids, label_pair
from .overlap_scores import overlap

CropCounts = Mapping[str, float] | Iterable[Mapping[str, float]]
"""Counts of one crop, or of several."""


def cellmap_class_score(counts: CropCounts) -> dict[str, float]:
    """Score of an instance class, whose counts are pooled over crops.

    Args:
        counts: of `cellmap_instance_counts` or `cellmap_missing_counts`, of one crop or of several.

    Returns:
        `f1`: 2 TP / (2 TP + FP + FN); `hausdorff`: mean normalised distance; `score`: root of their product. All are 1
        where truth and prediction are empty in every crop.

    Raises:
        ValueError: for no crop, or counts that lack a number.
    """
    tp, fp, fn, distance_sum, distance_count = _pooled(counts, "tp", "fp", "fn", "distance_sum", "distance_count")
    f1 = Counts(int(tp), int(fp), int(fn)).f1
    hausdorff = distance_sum / distance_count if distance_count else 1.0
    return {"f1": f1, "hausdorff": hausdorff, "score": math.sqrt(f1 * hausdorff)}


def cellmap_semantic_counts(pred: Labels, truth: Labels, *, known: Labels | None = None) -> dict[str, int]:
    """Count the voxels of a semantic class in a crop, or in a block of one.

    Args:
        pred: booleans or ids, D H W or H W; everything that is not 0 is foreground.
        truth: the same.
        known: booleans of the same shape; voxels where it is False count nowhere.

    Returns:
        `tp`, `fp`, `fn`.

    Raises:
        TypeError: for floats: probabilities need a threshold first (the challenge takes above 0.5).
        ValueError: when shapes differ.
    """
    counts = overlap(pred, truth, known=known)
    return {"tp": counts.true_positives, "fp": counts.false_positives, "fn": counts.false_negatives}


def cellmap_semantic_score(counts: CropCounts) -> dict[str, float]:
    """Score of a semantic class, whose counts are pooled over crops.

    Args:
        counts: of `cellmap_semantic_counts` or `cellmap_missing_counts`, of one crop or of several.

    Returns:
        `iou`, and the same as `score`; 1 where truth and prediction are empty in every crop.

    Raises:
        ValueError: for no crop, or counts that lack a number.
    """
    tp, fp, fn = _pooled(counts, "tp", "fp", "fn")
    iou = Counts(int(tp), int(fp), int(fn)).jaccard
    return {"iou": iou, "score": iou}


def cellmap_missing_counts(
    class_name: str, truth: Labels, *, known: Labels | None = None
) -> dict[str, int] | dict[str, float]:
    """Counts of a class that a submission lacks in a crop, worse than those of an empty prediction.

    Args:
        class_name: decides whether objects or voxels count (`CELLMAP_INSTANCE_CLASSES`).
        truth: true ids, D H W or H W.
        known: booleans of the same shape; voxels where it is False count nowhere.

    Returns:
        of an instance class, every true object as a false negative whose normalised distance is 0; of a semantic
        class, every true voxel as a false negative.

    Raises:
        TypeError: for floats.
        ValueError: when shapes differ, or for negative ids.
    """
    true, _, inside = label_pair(truth, truth, known)
    if inside is not None:
        true = np.where(inside, true, 0)
    if class_name in CELLMAP_INSTANCE_CLASSES:
        n_true = compact_ids(true, "truth")[1]
        return {"tp": 0, "fp": 0, "fn": n_true, "distance_sum": 0.0, "distance_count": n_true}
    return cellmap_semantic_counts(np.zeros_like(true), true)


def cellmap_overall_score(scores: Mapping[str, float]) -> float:
    """Overall score: root of the mean over the instance classes times the mean over the semantic classes.

    Args:
        scores: `score` of each class by its name.

    Returns:
        from 0 to 1; NaN where instance or semantic classes are not among them, since the two means are not comparable.
    """
    of_objects = [score for name, score in scores.items() if name in CELLMAP_INSTANCE_CLASSES]
    of_voxels = [score for name, score in scores.items() if name not in CELLMAP_INSTANCE_CLASSES]
    if not of_objects or not of_voxels:
        return float("nan")
    return math.sqrt(math.fsum(of_objects) / len(of_objects) * math.fsum(of_voxels) / len(of_voxels))


def _pooled(counts: CropCounts, *names: str) -> list[float]:
    """Sum of each number over the crops."""
    crops = [counts] if isinstance(counts, Mapping) else list(counts)
    if not crops:
        raise ValueError("counts is empty; expected those of at least one crop")
    for crop in crops:
        if missing := [name for name in names if name not in crop]:
            raise ValueError(f"counts lack {', '.join(missing)}; expected {', '.join(names)}, got {', '.join(crop)}")
    return [math.fsum(crop[name] for crop in crops) for name in names]
