"""How PHD-Net writes the way from a patch to a landmark."""

from __future__ import annotations

import torch
from torch import Tensor


def encode_displacement(d: Tensor) -> Tensor:
    """sign(d) log2(1 + |d|): far landmarks need not be known as exactly as near ones.

    Args:
        d: displacements in voxels, any shape; NaN stays NaN.

    Source: PHD-Net (Schobs et al. 2021), in the form that can be inverted.
    """
    return d.sign() * torch.log2(1 + d.abs())


def decode_displacement(v: Tensor) -> Tensor:
    """sign(v) (2^|v| - 1), the inverse of `encode_displacement`, any shape."""
    return v.sign() * (torch.exp2(v.abs()) - 1)


def clamp_displacement(displacement: Tensor, most: float, dim: int = -1) -> Tensor:
    """Shorten displacements that are longer than a limit, and keep their direction.

    Args:
        displacement: vectors in voxels; NaN stays NaN.
        most: largest length in voxels.
        dim: axis of the components.

    Raises:
        ValueError: for a limit that is not above 0.
    """
    if not most > 0:
        raise ValueError(f"most must be a length above 0; got {most!r}")
    length = torch.linalg.vector_norm(displacement, dim=dim, keepdim=True)
    return displacement * (most / length.clamp(min=most))
