"""Points under change of space: affine maps, and the inverse of an elastic deformation (plain tensors)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .affines import linear_part
from .bspline import DEGREE, spline_slopes, spline_weights

_TOLERANCE = 1e-5  # voxels
_MOST_STEPS = 60


def move_points(points: Tensor, old_affine: Any, affine: Any) -> Tensor:
    """Indices in a new grid of points whose indices in an old grid are known.

    Args:
        points: N D, indices z, y, x (2D: y, x); centres of voxels are whole numbers.
        old_affine: affine of the old grid, index to physical position, (R + 1) x (R + 1) with R >= D.
        affine: affine of the new grid.

    Returns:
        N D, float64, on the CPU; NaN stays NaN.

    Raises:
        ValueError: when an affine is not valid.
    """
    dims = points.shape[-1]
    old, new = linear_part(old_affine, dims, "old_affine"), linear_part(affine, dims)
    shift = (_translation(old_affine, dims) - _translation(affine, dims)).unsqueeze(-1)
    return torch.linalg.solve(new, old @ points.double().cpu().T + shift).T


def unwarp_points(
    points: Tensor, linear: Tensor, offset: Tensor, coefficients: Tensor | None, size: Sequence[int]
) -> Tensor:
    """Indices i in a new array of points p in the old array that it is read from: p = linear (i + u(i)) + offset.

    Args:
        points: N D, indices in the old array.
        linear: D x D.
        offset: D.
        coefficients: control points of u in voxels of the new array, as in `elastic.displacement`; `None`: u is 0.
        size: spatial shape of the new array.

    Returns:
        N D, float64, on the CPU; NaN where there is no such index.
    """
    affine_part = torch.linalg.solve(linear.double(), (points.double().cpu() - offset.double()).T).T
    return affine_part if coefficients is None else invert_displacement(affine_part, coefficients, size)


def invert_displacement(points: Tensor, coefficients: Tensor, size: Sequence[int]) -> Tensor:
    """Positions i with i + u(i) = y, to 1e-5 voxels, by Newton's method with steps as short as needed.

    Beyond the array u continues as it is at the border, so that points from there end up beyond the border, too.

    Args:
        points: y, N D, float64.
        coefficients: control points of u, D followed by their numbers, in voxels.
        size: spatial shape of the array over which the control points are spread.

    Returns:
        N D; NaN where the deformation folds and the method does not arrive.
    """
    found = points - displacement_at(coefficients, size, points)[0]
    share = torch.ones_like(found[:, :1])
    value, slope = displacement_at(coefficients, size, found)
    error = found + value - points
    identity = torch.eye(len(size), dtype=points.dtype)
    for _ in range(_MOST_STEPS):
        if not (error.abs() > _TOLERANCE).any():
            break
        step = torch.linalg.solve_ex(identity + slope, error)[0]
        tried = found - share * step
        new_value, new_slope = displacement_at(coefficients, size, tried)
        new_error = tried + new_value - points
        is_better = new_error.norm(dim=1, keepdim=True) < error.norm(dim=1, keepdim=True)
        found = torch.where(is_better, tried, found)
        error = torch.where(is_better, new_error, error)
        slope = torch.where(is_better.unsqueeze(-1), new_slope, slope)
        share = torch.where(is_better, 1.0, share / 2)
    arrived = (error.abs() <= _TOLERANCE).all(dim=1, keepdim=True)
    return torch.where(arrived, found, torch.nan)


def displacement_at(coefficients: Tensor, size: Sequence[int], points: Tensor) -> tuple[Tensor, Tensor]:
    """Displacement at any position, and its derivative, exact.

    Args:
        coefficients: D followed by the numbers of control points, as in `elastic.displacement`.
        size: spatial shape of the array over which they are spread.
        points: N D, indices; beyond the array's outermost edges the displacement is that of the edge.

    Returns:
        displacement N D, and N D D: component, axis; in the unit of the coefficients, and that per voxel.
    """
    dims = len(size)
    near = torch.zeros(*[1] * dims, len(points), dtype=torch.int64)  # flat indices of control points, 4 4 4 N
    weights, slopes = [], []
    for axis, (n, n_points) in enumerate(zip(size, coefficients.shape[1:], strict=True)):
        intervals = n_points - DEGREE
        place = (points[:, axis] + 0.5) * (intervals / n)
        inside = place.nan_to_num().clamp(0, intervals)
        first = inside.floor().clamp(max=intervals - 1)
        taps = first.long() + torch.arange(DEGREE + 1)[:, None]
        near = near * n_points + taps.reshape(*[len(taps) if a == axis else 1 for a in range(dims)], len(points))
        weights.append(spline_weights(inside - first))  # 4 N
        moves = ((place > 0) & (place < intervals)) * (intervals / n)
        slopes.append(spline_slopes(inside - first) * moves)
    value = coefficients.to(points).flatten(1)[:, near]  # D 4 4 4 N
    along: list[Tensor] = []
    for weight, slope in zip(weights, slopes, strict=True):
        along = [*(_combine(one, weight) for one in along), _combine(value, slope)]
        value = _combine(value, weight)
    return value.T, torch.stack(along, dim=-1).transpose(0, 1)  # D N A -> N D A


def _combine(controls: Tensor, weight: Tensor) -> Tensor:
    """Weighted sum over the first axis of the control points near each position, D 4 .. N -> D .. N."""
    return (controls * weight.reshape(len(weight), *[1] * (controls.ndim - 3), weight.shape[1])).sum(dim=1)


def _translation(affine: Any, dims: int) -> Tensor:
    return torch.as_tensor(affine).detach().to("cpu", torch.float64)[:dims, -1]
