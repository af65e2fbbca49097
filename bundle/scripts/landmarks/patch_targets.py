"""What PHD-Net learns: for each patch, how near each landmark is, and where it lies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..geometry import did_you_mean
from .displacement import clamp_displacement, encode_displacement
from .patch_grid import PATCH_SIZE, patch_centres, patch_grid_shape, patch_sizes

GAUSSIAN = "gaussian"
BINARY = "binary"

CLASS_SCHEMES = (GAUSSIAN, BINARY)
"""A patch's class: a Gaussian of its centre's distance to the landmark, or whether the landmark lies in it."""


def patch_class_maps(
    points: Tensor,
    shape: Sequence[int],
    *,
    patch_size: int | Sequence[int] = PATCH_SIZE,
    scheme: str = GAUSSIAN,
    sigma: float = 1.0,
    amplitude: float = 1.0,
) -> Tensor:
    """Class map of each landmark over the patches.

    Args:
        points: B N 3 (2D: B N 2), indices z, y, x in the image; NaN is missing.
        shape: voxels of the image along each axis.
        patch_size: voxels of a patch, one number or one per axis.
        scheme: one of `CLASS_SCHEMES`.
        sigma: standard deviation of the Gaussian, in patches; the binary scheme has none.
        amplitude: value of a patch with the landmark at its centre, or in it.

    Returns:
        B N followed by the patch grid; 0 for a landmark outside the image, NaN for a missing one.

    Raises:
        ValueError: for an unknown scheme, a sigma not above 0, and shapes that do not fit.

    Source: PHD-Net (Schobs et al. 2021).
    """
    if scheme not in CLASS_SCHEMES:
        known = ", ".join(CLASS_SCHEMES)
        raise ValueError(f"scheme must be one of {known}; got {scheme!r}{did_you_mean(scheme, CLASS_SCHEMES)}")
    if not sigma > 0:
        raise ValueError(f"sigma must be above 0; got {sigma!r}")
    away = _to_landmark(points, shape, patch_size)  # B N D and the grid
    size = away.new_tensor(patch_sizes(patch_size, len(shape))).reshape(-1, *[1] * len(shape))
    in_patches = away / size
    if scheme == GAUSSIAN:
        values = torch.exp(-0.5 * (in_patches / sigma).square().sum(dim=2))
    else:  # a landmark on the border of two patches belongs to the latter
        values = ((in_patches >= -0.5) & (in_patches < 0.5)).all(dim=2).to(away.dtype)
    bounds = points.new_tensor(list(shape)) - 0.5
    spatial = [1] * len(shape)
    outside = ((points < -0.5) | (points >= bounds)).any(dim=2).reshape(*points.shape[:2], *spatial)
    missing = points.isnan().any(dim=2).reshape(*points.shape[:2], *spatial)
    return torch.where(missing, torch.nan, torch.where(outside, 0.0, amplitude * values))


def patch_displacements(
    points: Tensor,
    shape: Sequence[int],
    *,
    patch_size: int | Sequence[int] = PATCH_SIZE,
    most: float | None = None,
    log_transform: bool = True,
) -> Tensor:
    """Displacement of each landmark from the centre of each patch.

    Args:
        points: B N 3 (2D: B N 2), indices z, y, x in the image; NaN is missing.
        shape: voxels of the image along each axis.
        patch_size: voxels of a patch, one number or one per axis.
        most: length in voxels to which longer displacements are shortened; `None`: they are not.
        log_transform: whether components are written by `encode_displacement`, after being shortened.

    Returns:
        B (N D) followed by the patch grid: components z, y, x of the first landmark, then of the second, ...; NaN for a
        missing landmark. A landmark outside the image is pointed at, as any other.

    Raises:
        ValueError: for shapes and limits that do not fit.
    """
    away = _to_landmark(points, shape, patch_size)
    if most is not None:
        away = clamp_displacement(away, most, dim=2)
    if log_transform:
        away = encode_displacement(away)
    return away.flatten(1, 2)  # B N D and the grid -> B (N D) and the grid


def _to_landmark(points: Tensor, shape: Sequence[int], patch_size: int | Sequence[int]) -> Tensor:
    """Landmark minus patch centre, B N D and the patch grid; NaN in all components where one is missing."""
    dims = len(shape)
    if points.ndim != 3 or points.shape[2] != dims:
        raise ValueError(f"points must have shape B N {dims} for an image of {list(shape)}; got {list(points.shape)}")
    points = points if points.is_floating_point() else points.float()
    points = torch.where(points.isnan().any(dim=2, keepdim=True), torch.nan, points)
    centres = patch_centres(patch_grid_shape(shape, patch_size), patch_size, points)
    return points.reshape(*points.shape, *[1] * dims) - centres
