"""Objects of one crop, counted as the CellMap segmentation challenge does."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from skimage.measure import label

from .assignment import best_pairs
from .contingency import Contingency
from .hausdorff import hausdorff_distance
from .label_arrays import Labels, check_ids, compact_ids, label_pair
from .object_overlaps import object_overlaps
from .voxel_size import checked_voxel_size

CELLMAP_VERSION = "2026-06"
"""Which of the challenge's definitions the functions `cellmap_...` follow; a score is comparable within one version."""

CELLMAP_INSTANCE_CLASSES = ("nuc", "vim", "ves", "endo", "lyso", "ld", "perox", "mito", "np", "mt", "cell")
"""Classes scored object by object; all others are semantic."""

_PAIR_BONUS = 1e-6  # beside its IoU, what a pair is worth
_DISTANCE_BASE = 1.01


def cellmap_instance_counts(
    pred: Labels,
    truth: Labels,
    voxel_size: Sequence[float],
    *,
    known: Labels | None = None,
    strict: bool = True,
) -> dict[str, float]:
    """Count the objects of an instance class in a crop (version `CELLMAP_VERSION`).

    1. Predicted objects are the connected components (touching at least at a corner) of each predicted id; true
       objects are the true ids.
    2. They are matched one to one so that the sum of IoU + 1e-6 over the pairs is largest; any overlap will do.
    3. Each true object has a distance: the Hausdorff distance to its match, no larger than a cap, which is half of the
       crop's shortest side; without a match, the cap. So has each prediction without a match: the cap. Distances d
       are normalised: 1.01^(-d / length of the voxel's diagonal), 1 is best.

    Where predicted components outnumber true objects by more than 10 + 50 exp(-objects / 5) times, the crop has
    failed: nothing is matched and every distance is the cap. With `strict=False` a failed crop counts nothing, as in
    the challenge, which rewards predictions in very many pieces.

    The result depends on objects, not on the numbers that they have.

    Args:
        pred: predicted ids, D H W or H W.
        truth: true ids, same shape.
        voxel_size: nm, one number per axis.
        known: booleans of the same shape; where it is False, both sides count as background.
        strict: whether a failed crop counts as all false.

    Returns:
        `tp`, `fp`, `fn` (objects), `distance_sum` (of normalised distances) and `distance_count`; counts of several
        crops are pooled by `cellmap_class_score`.

    Raises:
        TypeError: for arrays that do not hold whole numbers.
        ValueError: when shapes differ, for negative ids, or a voxel size that is missing or not above 0.
    """
    predicted, true, inside = label_pair(pred, truth, known)
    size = checked_voxel_size(voxel_size, true.ndim, "voxel_size")
    if inside is not None:
        predicted, true = np.where(inside, predicted, 0), np.where(inside, true, 0)
    components, n_predicted = _components(predicted)
    objects, n_true = compact_ids(true, "truth")
    cap = float((size * true.shape).min()) / 2
    diagonal = float(np.linalg.norm(size))
    worst = _DISTANCE_BASE ** (-cap / diagonal)
    if n_true and n_predicted / n_true > 10 + 50 * math.exp(-n_true / 5):
        counted = (n_predicted, n_true) if strict else (0, 0)
        return _counts(0, *counted, [worst] * sum(counted))
    distances = _matched_distances(components, objects, size)
    matched = len(distances)
    normalised = [_DISTANCE_BASE ** (-min(distance, cap) / diagonal) for distance in distances]
    unmatched = n_predicted - matched, n_true - matched
    return _counts(matched, *unmatched, normalised + [worst] * sum(unmatched))


def _counts(tp: int, fp: int, fn: int, normalised: Sequence[float]) -> dict[str, float]:
    # the sum is rounded once, so that the order of objects does not matter
    return {"tp": tp, "fp": fp, "fn": fn, "distance_sum": math.fsum(normalised), "distance_count": len(normalised)}


def _components(predicted: NDArray[np.integer]) -> tuple[NDArray[np.integer], int]:
    """Connected components of each id, numbered in the order in which they first occur."""
    check_ids(predicted.reshape(-1), "prediction")
    if predicted.dtype == np.uint64:
        predicted = predicted.view(np.int64)  # the same bits: ids are only compared, and must not pass through floats
    return label(predicted, return_num=True, connectivity=predicted.ndim)


def _matched_distances(
    components: NDArray[np.integer], objects: NDArray[np.integer], size: NDArray[np.float64]
) -> list[float]:
    """Hausdorff distance of every matched pair."""
    overlaps = object_overlaps(Contingency.of(components, objects))
    pairs = best_pairs(overlaps.predicted, overlaps.true, overlaps.iou + _PAIR_BONUS)
    predicted_boxes, true_boxes = find_objects(components), find_objects(objects)
    distances = []
    for pair in pairs:
        if overlaps.iou[pair] == 1:
            distances.append(0.0)
            continue
        # both are numbered from 1 without gaps
        component, number = int(overlaps.predicted[pair]) + 1, int(overlaps.true[pair]) + 1
        box = tuple(
            slice(min(a.start, b.start), max(a.stop, b.stop))
            for a, b in zip(predicted_boxes[component - 1], true_boxes[number - 1], strict=True)
        )
        distances.append(hausdorff_distance(components[box] == component, objects[box] == number, size))
    return distances
