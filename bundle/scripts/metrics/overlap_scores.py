"""Voxels that prediction and truth have in common."""

from __future__ import annotations

import numpy as np

from .contingency import Contingency
from .counts import Counts
from .label_arrays import Labels, label_pair


def overlap(prediction: Labels, truth: Labels, *, known: Labels | None = None) -> Counts:
    """Count the voxels of a foreground: everything that is not 0.

    Of the result, `f1` is the Dice coefficient and `jaccard` the IoU. Counts of blocks and crops add up.

    Args:
        prediction: booleans or ids, any shape.
        truth: booleans or ids, same shape.
        known: booleans of the same shape; voxels where it is False count nowhere.

    Raises:
        TypeError: for arrays of floats: probabilities need a threshold first.
        ValueError: when shapes differ.
    """
    predicted, true, inside = label_pair(prediction, truth, known)
    a, b = predicted != 0, true != 0
    if inside is not None:
        a, b = a & inside, b & inside
    both = int(np.count_nonzero(a & b))
    return Counts(both, int(np.count_nonzero(a)) - both, int(np.count_nonzero(b)) - both)


def class_overlaps(table: Contingency) -> dict[int, Counts]:
    """Count the voxels of every class, where ids name classes and mean the same in prediction and truth.

    Returns:
        counts by class, in the order of their numbers; every class that occurs in either, without 0.
    """
    both = table.prediction == table.truth
    counts = {}
    for name in np.union1d(table.prediction, table.truth):
        if name:
            predicted, true = table.prediction == name, table.truth == name
            common = int(table.voxels[predicted & both].sum())
            counts[int(name)] = Counts(
                common, int(table.voxels[predicted].sum()) - common, int(table.voxels[true].sum()) - common
            )
    return counts
