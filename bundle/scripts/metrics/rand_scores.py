"""Whether pairs of voxels lie in one object, in prediction and truth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .contingency import Contingency, as_contingency, sizes_by_id
from .label_arrays import Labels


class AdaptedRand(NamedTuple):
    """Adapted Rand error and what it is made of."""

    error: float
    """1 - F1 of pairs of voxels: 0 is perfect."""
    precision: float
    """Share of the pairs that one segment joins that one true object joins, too; falls with merges."""
    recall: float
    """Share of the pairs that one true object joins that one segment joins, too; falls with splits."""


def adapted_rand(seg: Labels | Contingency, truth: Labels | None = None, *, known: Labels | None = None) -> AdaptedRand:
    """Adapted Rand error, with precision and recall of pairs of different voxels.

    Voxels with truth 0 do not count; within the others, segment 0 is a segment as any other. A share of no pairs is
    1: where no voxel counts, the error is 0.

    Arganda-Carreras et al. 2015. `skimage.metrics.adapted_rand_error` computes the same error, but returns recall in
    the place of precision.

    Args:
        seg: predicted ids, any shape, or a `Contingency` of both arrays (merged over the blocks of a volume).
        truth: true ids, same shape.
        known: booleans of the same shape; voxels where it is False count nowhere.

    Raises:
        TypeError: for arrays that do not hold whole numbers.
        ValueError: when shapes differ, or for negative ids.
    """
    table = as_contingency(seg, truth, known)
    objects = table.truth != 0
    voxels = table.voxels[objects]
    both = _pairs(voxels)
    in_segments = _pairs(sizes_by_id(table.prediction[objects], voxels)[2])
    in_objects = _pairs(sizes_by_id(table.truth[objects], voxels)[2])
    f1 = 2 * both / (in_segments + in_objects) if in_segments + in_objects else 1.0
    return AdaptedRand(1 - f1, both / in_segments if in_segments else 1.0, both / in_objects if in_objects else 1.0)


def _pairs(sizes: NDArray[np.int64]) -> int:
    """Ordered pairs of different voxels, in Python's numbers: squares of sizes outgrow 64 bits."""
    return sum(n * (n - 1) for n in sizes.tolist())
