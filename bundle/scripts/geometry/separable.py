"""Linear operations that act on one axis after the other (plain tensors)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def apply_along_axes(values: Tensor, matrices: Sequence[Tensor | None]) -> Tensor:
    """Multiply an array by one matrix along each spatial axis.

    A few dozen voxels along an axis are combined faster by a matrix product than by a convolution.

    Args:
        values: C D H W or C H W.
        matrices: for each spatial axis a matrix (new length x old length) of the values' dtype, or `None`.

    Returns:
        C followed by the new lengths.

    Raises:
        ValueError: when there are not as many matrices as spatial axes.
    """
    if len(matrices) != values.ndim - 1:
        raise ValueError(f"expected {values.ndim - 1} matrices for shape {tuple(values.shape)}, got {len(matrices)}")
    for axis, matrix in enumerate(matrices, start=1):
        if matrix is None:
            continue
        before, (length, *after) = values.shape[:axis], values.shape[axis:]
        if not after:
            values = values @ matrix.T
            continue
        flat = values.reshape(before.numel(), length, -1)  # C .. A .. -> P A Q
        values = (matrix @ flat).reshape(*before, len(matrix), *after)
    return values


def mirrored(index: Tensor, n: int) -> Tensor:
    """Indices of an axis of n voxels, mirrored at the centres of the first and the last voxel into 0 to n - 1.

    Args:
        index: whole numbers, any shape.
        n: voxels of the axis.
    """
    period = max(2 * n - 2, 1)
    index = index % period
    return torch.minimum(index, period - index)
