"""Objects of prediction and truth, and which of them overlap how far."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .contingency import Contingency, sizes_by_id


class ObjectOverlaps(NamedTuple):
    """All objects of both sides, and the pairs that have voxels in common."""

    prediction_ids: NDArray[np.uint64]
    """Every predicted object, ascending."""
    truth_ids: NDArray[np.uint64]
    """Every true object, ascending."""
    predicted: NDArray[np.intp]
    """Of each pair, its place in `prediction_ids`."""
    true: NDArray[np.intp]
    """Of each pair, its place in `truth_ids`."""
    iou: NDArray[np.float64]
    """Of each pair, voxels in both / voxels in either; exactly 1 where the two are the same voxels."""


def object_overlaps(table: Contingency) -> ObjectOverlaps:
    """Objects of a contingency table; 0 is no object."""
    prediction_ids, predicted, prediction_sizes = _objects(table.prediction, table.voxels)
    truth_ids, true, truth_sizes = _objects(table.truth, table.voxels)
    pairs = (predicted >= 0) & (true >= 0)
    predicted, true, both = predicted[pairs], true[pairs], table.voxels[pairs]
    iou = both / (prediction_sizes[predicted] + truth_sizes[true] - both)
    return ObjectOverlaps(prediction_ids, truth_ids, predicted, true, iou)


def _objects(
    ids: NDArray[np.uint64], voxels: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.intp], NDArray[np.int64]]:
    """Objects, the place of each row's object among them (-1: background), and their sizes."""
    objects, place, sizes = sizes_by_id(ids, voxels)
    background = int(np.count_nonzero(objects[:1] == 0))  # ascending: it comes first where there is one
    return objects[background:], place - background, sizes[background:]
