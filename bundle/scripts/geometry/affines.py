"""What an affine says about a patch: linear part, spacing, and how a new grid's indices map to the old grid's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from torch import Tensor

REFERENCE_AFFINE = "reference_affine"
"""Meta entry: the affine of the grid whose axes the components of vectors and normals are along."""

NOMINAL_SPACING = "nominal_spacing"
"""Meta entry: the spacing of the grid as loaded, kept once `reference_affine` has followed an augmentation."""

ORIGINAL_AFFINE = "original_affine"
"""Meta entry: MONAI's name for the affine of the array as it was loaded."""

_MIN_RELATIVE_VOLUME = 1e-9


def linear_part(affine: Any, spatial_dims: int, name: str = "affine") -> Tensor:
    """Linear part of an affine that maps array index (z, y, x) to physical position.

    Args:
        affine: matrix (R + 1) x (R + 1) with R >= `spatial_dims`; MONAI gives 2D images a 4 x 4 matrix, too.
        spatial_dims: number of spatial axes D of the array, 2 or 3.
        name: what the matrix is called in an error.

    Returns:
        D x D matrix, float64, on the CPU; column a is one step along axis a in physical length.

    Raises:
        ValueError: when the matrix is no such affine, is not finite, or is singular.
    """
    matrix = torch.as_tensor(affine).detach().to("cpu", torch.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] <= spatial_dims:
        raise ValueError(
            f"{name} has shape {tuple(matrix.shape)}; expected one square matrix of at least "
            f"{spatial_dims + 1} x {spatial_dims + 1} for {spatial_dims} spatial axes (decollate a batch first)"
        )
    linear = matrix[:spatial_dims, :spatial_dims].clone()
    columns = torch.linalg.vector_norm(linear, dim=0)
    if not (torch.linalg.det(linear).abs() > _MIN_RELATIVE_VOLUME * columns.prod()):  # false for NaN, too
        raise ValueError(
            f"{name} is singular or not finite: {matrix.tolist()}; expected a matrix that maps each voxel to a "
            "position of its own (spacing along the axes, none of them zero)"
        )
    return linear


def affine_spacing(affine: Any, spatial_dims: int) -> tuple[float, ...]:
    """Physical size of a voxel along each axis: the lengths of the affine's columns.

    Args:
        affine: matrix (R + 1) x (R + 1) with R >= `spatial_dims`.
        spatial_dims: number of spatial axes D.

    Returns:
        D floats, in the order of the axes.

    Raises:
        ValueError: when the affine is not valid (see `linear_part`).
    """
    return tuple(torch.linalg.vector_norm(linear_part(affine, spatial_dims), dim=0).tolist())


def index_map(reference_affine: Any, affine: Any, spatial_dims: int) -> Tensor:
    """Linear part of M = inverse(reference) x current, which maps an index of the new grid to one of the old grid.

    Args:
        reference_affine: affine of the old grid, (R + 1) x (R + 1).
        affine: affine of the new grid, (R + 1) x (R + 1).
        spatial_dims: number of spatial axes D.

    Returns:
        D x D matrix, float64.

    Raises:
        ValueError: when an affine is not valid (see `linear_part`).
    """
    old = linear_part(reference_affine, spatial_dims, "reference_affine")
    return torch.linalg.solve(old, linear_part(affine, spatial_dims))


def reference_affine(data: MetaTensor) -> Tensor:
    """Affine of the grid that the components of `data` are along: meta `reference_affine`, else `original_affine`.

    Args:
        data: C D H W or C H W.

    Returns:
        (R + 1) x (R + 1) matrix, float64.

    Raises:
        TypeError: when `data` is no MetaTensor.
        ValueError: when the meta has neither entry.
    """
    require_meta_tensor(data)
    for entry in (REFERENCE_AFFINE, ORIGINAL_AFFINE):
        if data.meta.get(entry) is not None:
            return torch.as_tensor(data.meta[entry]).to("cpu", torch.float64)
    raise ValueError(
        f"meta has neither '{REFERENCE_AFFINE}' nor '{ORIGINAL_AFFINE}' (it has: {', '.join(map(str, data.meta))}), "
        "so what the spatial transforms did is not known; load with LoadZarrPatchd, or place TakeReferenceAffined "
        "before the first spatial transform"
    )


def nominal_spacing(data: MetaTensor) -> tuple[float, ...]:
    """Spacing that the network will meet at inference: that of the grid as loaded, before any augmentation.

    A zoom or a 90-degree rotation leaves it as it is, since the array is then read as if it had this spacing.

    Args:
        data: C D H W or C H W.

    Returns:
        one float per spatial axis: meta `nominal_spacing` where a transform kept it, else the lengths of the
        reference affine's columns.

    Raises:
        TypeError: when `data` is no MetaTensor.
        ValueError: when the meta holds no reference (see `reference_affine`).
    """
    require_meta_tensor(data)
    kept = data.meta.get(NOMINAL_SPACING)
    if kept is not None:
        return tuple(torch.as_tensor(kept, dtype=torch.float64).tolist())
    return affine_spacing(reference_affine(data), data.ndim - 1)


def check_spacing(spacing: Sequence[float], spatial_dims: int) -> tuple[float, ...]:
    """Return `spacing` as a tuple of `spatial_dims` positive floats.

    Raises:
        ValueError: when it has another length, or a value that is not finite and above zero.
    """
    values = tuple(float(value) for value in spacing)
    if len(values) != spatial_dims or not all(0 < value < float("inf") for value in values):
        raise ValueError(f"spacing must hold {spatial_dims} lengths above 0, one per spatial axis; got {spacing!r}")
    return values


def require_meta_tensor(data: Any, key: Any = None) -> None:
    """Raise a TypeError with the remedy when `data` carries no affine.

    Args:
        data: what should be a MetaTensor.
        key: key of the sample, named in the error.

    Raises:
        TypeError: when `data` is anything else than a MetaTensor.
    """
    if not isinstance(data, MetaTensor):
        where = "" if key is None else f"key '{key}': "
        raise TypeError(
            f"{where}expected a MetaTensor, whose affine says what the spatial transforms did; got "
            f"{type(data).__name__}. Load with LoadZarrPatchd (or LoadImaged), keep monai.data.set_track_meta(True), "
            "and place ToTensord or EnsureTyped(track_meta=False) after this transform"
        )
