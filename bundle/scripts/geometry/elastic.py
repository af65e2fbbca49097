"""Elastic deformation by cubic B-splines: displacement, its Jacobian, and what it does to components (plain tensors).

Free-form deformation after Rueckert et al. 1999 (doi:10.1109/42.796284). It folds nothing while no control point moves
by more than 0.4 of the distance between control points (Choi and Lee, Graphical Models 62, 2000: 1 / 2.48 in 3D).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .bspline import DEGREE, spline_slopes, spline_weights
from .separable import apply_along_axes

MOST_DISPLACEMENT = 0.4
"""Largest displacement of a control point that folds nothing, as a share of the distance between control points."""


def control_shape(intervals: Sequence[int]) -> tuple[int, ...]:
    """Control points along each axis for a number of intervals between them."""
    return tuple(n + DEGREE for n in intervals)


def displacement(coefficients: Tensor, size: Sequence[int]) -> Tensor:
    """Displacement of each voxel.

    Args:
        coefficients: D followed by the numbers of control points (see `control_shape`), float32; the intervals between
            them divide the array's extent evenly.
        size: spatial shape of the array.

    Returns:
        D followed by `size`, in the unit of the coefficients. No value is larger than the largest coefficient.
    """
    bases = [_basis(n, points - DEGREE, coefficients) for n, points in zip(size, coefficients.shape[1:], strict=True)]
    return apply_along_axes(coefficients, bases)


def displacement_gradient(coefficients: Tensor, size: Sequence[int]) -> Tensor:
    """Derivative of the displacement along each axis, exact.

    Args:
        coefficients: as in `displacement`.
        size: spatial shape of the array.

    Returns:
        D D followed by `size`: component, axis; unit of the coefficients per voxel.
    """
    lengths = list(zip(size, coefficients.shape[1:], strict=True))
    bases = [_basis(n, points - DEGREE, coefficients) for n, points in lengths]
    slopes = [_basis(n, points - DEGREE, coefficients, derivative=True) for n, points in lengths]
    along = [
        apply_along_axes(coefficients, [*bases[:axis], slopes[axis], *bases[axis + 1 :]]) for axis in range(len(size))
    ]
    return torch.stack(along, dim=1)


def warp_normals(normals: Tensor, jacobian: Tensor, spacing: Sequence[float]) -> Tensor:
    """Normals of the surface as it appears after a deformation, n' = S^-1 J^T S n with S = diag(spacing); any length.

    Args:
        normals: D D H W or D H W (components first), already read at the displaced places.
        jacobian: D D followed by the spatial shape: derivative of the old index (first axis) by the new one (second).
        spacing: nominal spacing.

    Returns:
        the same shape; zero stays zero, NaN stays NaN.
    """
    scale = _column(spacing, normals)
    return (jacobian * (normals * scale)[:, None]).sum(dim=0) / scale


def warp_vectors(vectors: Tensor, jacobian: Tensor, spacing: Sequence[float]) -> Tensor:
    """Vectors as they appear after a deformation, v' = S J^-1 S^-1 v with S = diag(spacing).

    Args:
        vectors: as `normals` in `warp_normals`.
        jacobian: as in `warp_normals`.
        spacing: nominal spacing.

    Returns:
        the same shape.
    """
    scale = _column(spacing, vectors)
    cofactors = _cofactors(jacobian)
    determinant = (jacobian[0] * cofactors[0]).sum(dim=0)
    return (cofactors * (vectors / scale)[:, None]).sum(dim=0) / determinant * scale


def _cofactors(matrices: Tensor) -> Tensor:
    """Cofactors of 3 x 3 or 2 x 2 matrices that stand in the first two axes."""
    if len(matrices) == 2:
        (a, b), (c, d) = matrices
        return torch.stack([torch.stack([d, -c]), torch.stack([-b, a])])
    return torch.stack([torch.linalg.cross(matrices[(r + 1) % 3], matrices[(r + 2) % 3], dim=0) for r in range(3)])


def _column(spacing: Sequence[float], field: Tensor) -> Tensor:
    return torch.tensor(list(spacing), dtype=field.dtype, device=field.device).reshape(-1, *[1] * (field.ndim - 1))


def _basis(size: int, intervals: int, like: Tensor, derivative: bool = False) -> Tensor:
    """Weight of each control point at each voxel of an axis, or its derivative per voxel: size x (intervals + 3)."""
    place = (torch.arange(size, dtype=torch.float64) + 0.5) * intervals / size
    first = place.floor().clamp(max=intervals - 1)
    t = place - first
    weights = spline_slopes(t) * intervals / size if derivative else spline_weights(t)
    basis = torch.zeros(size, intervals + DEGREE, dtype=torch.float64)
    for tap, weight in enumerate(weights):
        basis[torch.arange(size), first.long() + tap] = weight
    return basis.to(like)
