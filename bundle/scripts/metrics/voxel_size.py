"""The physical size of a voxel, checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def checked_voxel_size(size: Sequence[float] | None, dims: int, name: str) -> NDArray[np.float64]:
    """One length above 0 per axis.

    Args:
        size: what is given.
        dims: number of axes.
        name: what the error calls it.

    Raises:
        ValueError: when it is missing, has another number of axes, or holds what is no length.
    """
    if size is None:
        raise ValueError(f"{name} is missing; distances need the physical size of a voxel along each of {dims} axes")
    lengths = np.asarray(size, dtype=float)
    if lengths.shape != (dims,) or not (np.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError(f"{name} must be {dims} numbers above 0, one per axis, got {np.asarray(size).tolist()}")
    return lengths
