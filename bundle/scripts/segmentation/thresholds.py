"""From probabilities to masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .inputs import Array, check_spatial
from .labelling import label_components


def threshold(values: Any, above: float | None = None, below: float | None = None) -> NDArray[np.bool_]:
    """Voxels whose value is larger than `above` and smaller than `below`; NaN is neither.

    Args:
        values: D H W or H W.
        above: lower limit, itself outside; `None`: no limit.
        below: upper limit, itself outside; `None`: no limit.

    Raises:
        ValueError: when there is no limit, or nothing lies between the two.
    """
    array = check_spatial(values, "values")
    if above is None and below is None:
        raise ValueError("give above or below, or both: without a limit there is no threshold")
    if above is not None and below is not None and not above < below:
        raise ValueError(f"above must be smaller than below, got above={above!r} and below={below!r}")
    mask = np.ones(array.shape, dtype=bool) if above is None else array > above
    return mask if below is None else mask & (array < below)


def hysteresis(probability: Any, low: float, high: float, connectivity: int = 1) -> NDArray[np.bool_]:
    """Connected components of the voxels above `low` that hold a voxel above `high` (Canny 1986).

    Args:
        probability: D H W or H W; NaN is not above anything.
        low, high: limits, themselves outside.
        connectivity: 1, 2 or 3: 6, 18 or 26 neighbours.

    Raises:
        ValueError: when `low` is larger than `high`, or the connectivity is not known.
    """
    labels, strong = hysteresis_components(probability, low, high, connectivity)
    return strong[labels]


def hysteresis_components(
    probability: Any, low: float, high: float, connectivity: int = 1
) -> tuple[Array, NDArray[np.bool_]]:
    """The pieces of `hysteresis` for one block of a volume.

    A component of the whole volume stays when one of its parts is strong: join the labels of all blocks
    (`face_pairs`, `join`), then their flags (`join_flags`).

    Args:
        probability, low, high, connectivity: see `hysteresis`.

    Returns:
        labels 1..n of the voxels above `low`; and n + 1 flags that say of each label whether it holds a voxel above
        `high` (0, the background, does not).

    Raises:
        ValueError: see `hysteresis`.
    """
    array = check_spatial(probability, "probability")
    if not low <= high:
        raise ValueError(f"low must not be larger than high, got low={low!r} and high={high!r}")
    labels, n = label_components(array > low, connectivity)
    strong = np.zeros(n + 1, dtype=bool)
    strong[labels[array > high]] = True
    return labels, strong
