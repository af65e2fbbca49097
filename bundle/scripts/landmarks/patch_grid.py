"""The grid of patches over an image that PHD-Net looks at, one voxel of its output each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

PATCH_SIZE = 8
"""Voxels along each axis of PHD-Net's patches: three halvings."""


def patch_sizes(patch_size: int | Sequence[int], dims: int) -> tuple[int, ...]:
    """Voxels of a patch along each axis.

    Raises:
        ValueError: for another number of axes, and sizes below 1.
    """
    sizes = (patch_size,) * dims if isinstance(patch_size, int) else tuple(patch_size)
    if len(sizes) != dims or min(sizes) < 1:
        raise ValueError(f"patch_size must be a whole number of at least 1, or {dims} of them; got {patch_size!r}")
    return sizes


def patch_grid_shape(shape: Sequence[int], patch_size: int | Sequence[int] = PATCH_SIZE) -> tuple[int, ...]:
    """Number of patches along each axis; the last may reach beyond the image.

    Args:
        shape: voxels of the image along each axis.
        patch_size: voxels of a patch, one number or one per axis.

    Raises:
        ValueError: for a patch size that does not fit.
    """
    return tuple(-(-n // size) for n, size in zip(shape, patch_sizes(patch_size, len(shape)), strict=True))


def patch_centres(
    grid: Sequence[int], patch_size: int | Sequence[int] = PATCH_SIZE, like: Tensor | None = None
) -> Tensor:
    """Indices of the patches' centres in the image: 8 i + 3.5 for patches of 8 voxels.

    Args:
        grid: number of patches along each axis.
        patch_size: voxels of a patch, one number or one per axis.
        like: tensor whose type and device the result has; `None`: float32 on the CPU.

    Returns:
        D followed by `grid`.

    Raises:
        ValueError: for a patch size that does not fit.
    """
    like = torch.zeros(()) if like is None else like
    sizes = patch_sizes(patch_size, len(grid))
    along = [
        (torch.arange(n, dtype=like.dtype, device=like.device) + 0.5) * size - 0.5
        for n, size in zip(grid, sizes, strict=True)
    ]
    return torch.stack(torch.meshgrid(*along, indexing="ij"))
