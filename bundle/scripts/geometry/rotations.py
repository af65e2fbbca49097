"""Rotation and scaling of a patch in physical space."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def rotation_matrix(angles: Sequence[float]) -> Tensor:
    """Rotation about the axes x, y and z, in this order.

    Args:
        angles: degrees about z, y, x; in 2D one angle, about the axis that is not there.

    Returns:
        3 x 3 or 2 x 2 matrix on positions z, y, x or y, x; float64. A positive angle about an axis turns the next axis
        (z before y before x before z) towards the one after.

    Raises:
        ValueError: when there are neither 1 nor 3 angles.
    """
    if len(angles) not in (1, 3):
        raise ValueError(f"expected 3 angles (about z, y, x), or 1 in 2D; got {angles!r}")
    if len(angles) == 1:
        return _turn(2, 0, 1, angles[0])
    about = [_turn(3, (axis + 1) % 3, (axis + 2) % 3, angle) for axis, angle in enumerate(angles)]
    return about[0] @ about[1] @ about[2]


def turn_and_scale(angles: Sequence[float], factors: Sequence[float], spacing: Sequence[float]) -> Tensor:
    """Index matrix of a grid that was turned and stretched in physical space.

    M = S^-1 R K S with S = diag(spacing), K = diag(factors): a step on the new grid is K S long along its axes, which
    are turned by R. A factor above 1 sees more of the scene, so that things appear smaller.

    Args:
        angles: as in `rotation_matrix`.
        factors: one per axis.
        spacing: physical size of a voxel along each axis.

    Returns:
        D x D matrix, new index -> old index, float64.
    """
    scale = torch.tensor(list(spacing), dtype=torch.float64)
    steps = torch.tensor(list(factors), dtype=torch.float64) * scale
    return rotation_matrix(angles) * steps / scale[:, None]


def _turn(size: int, first: int, second: int, angle: float) -> Tensor:
    """Rotation that takes axis `first` towards axis `second`."""
    matrix = torch.eye(size, dtype=torch.float64)
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    matrix[first, first] = matrix[second, second] = cosine
    matrix[second, first], matrix[first, second] = sine, -sine
    return matrix
