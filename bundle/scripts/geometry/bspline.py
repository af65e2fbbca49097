"""Weights of the uniform cubic B-spline (plain tensors)."""

from __future__ import annotations

import torch
from torch import Tensor

DEGREE = 3


def spline_weights(fraction: Tensor) -> Tensor:
    """Weights of the four nearest points.

    Args:
        fraction: N, way from the second of the points to the third, 0 to 1.

    Returns:
        4 N; they add up to 1.
    """
    f = fraction
    return torch.stack([(1 - f) ** 3, 4 + f * f * (3 * f - 6), 1 + 3 * f * (1 + f - f * f), f**3]) / 6


def spline_slopes(fraction: Tensor) -> Tensor:
    """Derivatives of `spline_weights` by the fraction, 4 N."""
    f = fraction
    return torch.stack([-((1 - f) ** 2), f * (3 * f - 4), 1 + f * (2 - 3 * f), f * f]) / 2
