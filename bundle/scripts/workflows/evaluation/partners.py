"""Which predicted and true objects belong together, to say in which voxels they disagree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...metrics import Contingency
from .measures import INSTANCE

RIGHT, MISSED, FALSE, OTHER, UNKNOWN = 1, 2, 3, 4, 5
"""Values of `disagreement`: right foreground, only true, only predicted, another object or class, unknown truth."""


def partners(table: Contingency) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Predicted and true ids of the objects that have most voxels in common, each with the other.

    Returns:
        predicted ids, ascending, and the true id of each.
    """
    objects = (table.prediction != 0) & (table.truth != 0)
    predicted, true, voxels = table.prediction[objects], table.truth[objects], table.voxels[objects]
    mutual = _is_largest(predicted, true, voxels) & _is_largest(true, predicted, voxels)
    return predicted[mutual], true[mutual]


def partner_of(labels: NDArray[Any], pairs: tuple[NDArray[np.uint64], NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """The true id that belongs to each predicted one; 0 where there is none."""
    predicted, true = pairs
    if not len(predicted):
        return np.zeros(labels.shape, np.uint64)
    ids = labels.astype(np.uint64)
    place = np.minimum(np.searchsorted(predicted, ids), len(predicted) - 1)
    return np.where(predicted[place] == ids, true[place], np.uint64(0))


def wrong_voxels(table: Contingency, kind: str) -> int:
    """Voxels in which prediction and truth disagree."""
    if kind == INSTANCE:
        predicted, true = partners(table)
        named = partner_of(table.prediction, (predicted, true))
        right = (named == table.truth) & ((named != 0) | (table.prediction == 0))
    else:
        right = table.prediction == table.truth
    return int(table.voxels[~right].sum())


def disagreement(
    labels: NDArray[Any], truth: NDArray[Any], known: NDArray[np.bool_], kind: str, table: Contingency
) -> NDArray[np.uint8]:
    """What is right and wrong in each voxel.

    Args:
        labels: predicted, any shape.
        truth: same shape.
        known: same shape, where the truth is known.
        kind: how the labels are read.
        table: of the whole case, which says what objects belong together.

    Returns:
        0 where both are background, or one of the values above.
    """
    named = partner_of(labels, partners(table)) if kind == INSTANCE else labels
    is_predicted, is_true = labels != 0, truth != 0
    found = np.zeros(labels.shape, np.uint8)
    found[is_predicted & is_true] = OTHER
    found[is_predicted & is_true & (named == truth)] = RIGHT
    found[is_true & ~is_predicted] = MISSED
    found[is_predicted & ~is_true] = FALSE
    found[~known] = UNKNOWN
    return found


def _is_largest(ids: NDArray[np.uint64], others: NDArray[np.uint64], voxels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a pair has most voxels of those with its id; of equal ones, the one whose other id is smallest."""
    order = np.lexsort((others, -voxels, ids))
    first = np.zeros(len(ids), bool)
    sorted_ids = ids[order]
    first[order] = np.append(True, sorted_ids[1:] != sorted_ids[:-1])[: len(ids)]
    return first
