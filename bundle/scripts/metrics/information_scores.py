"""What a segmentation says about the truth, in bits."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .contingency import Contingency, as_contingency, sizes_by_id
from .label_arrays import Labels


def variation_of_information(
    seg: Labels | Contingency, truth: Labels | None = None, *, known: Labels | None = None
) -> tuple[float, float]:
    """Variation of information in two parts, in bits; both are 0 for a perfect segmentation.

    - split: H(seg | truth), which grows where true objects are cut into pieces;
    - merge: H(truth | seg), which grows where one segment covers several true objects.

    Voxels with truth 0 do not count. Within the others, segment 0 is a segment as any other: a true object of which
    a part was missed is split. Where no voxel counts, both are 0.

    Meila 2007, Comparing clusterings; the two parts as in Nunez-Iglesias et al. 2013.

    Args:
        seg: predicted ids, any shape, or a `Contingency` of both arrays (merged over the blocks of a volume).
        truth: true ids, same shape.
        known: booleans of the same shape; voxels where it is False count nowhere.

    Returns:
        split and merge; their sum is the variation of information.

    Raises:
        TypeError: for arrays that do not hold whole numbers.
        ValueError: when shapes differ, or for negative ids.
    """
    table = as_contingency(seg, truth, known)
    objects = table.truth != 0
    voxels = table.voxels[objects]
    return _entropy(table.truth[objects], voxels), _entropy(table.prediction[objects], voxels)


def _entropy(given: NDArray[np.uint64], voxels: NDArray[np.int64]) -> float:
    """Conditional entropy of pairs, given one of their ids: the sum of p(pair) log2(p(id) / p(pair))."""
    if not len(voxels):
        return 0.0
    _, place, sizes = sizes_by_id(given, voxels)
    # rounded once, so that the numbers of objects do not matter
    return math.fsum(voxels * np.log2(sizes[place] / voxels)) / int(voxels.sum())
