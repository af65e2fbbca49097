"""Gaussian heatmaps of landmarks: what a network learns, differentiable in the Gaussians' width and direction."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Numbers = float | Sequence[float] | Tensor


def gaussian_heatmaps(
    points: Tensor,
    shape: Sequence[int],
    sigma: Numbers,
    amplitude: float | Tensor = 1.0,
    *,
    angles: Tensor | None = None,
    full_shape: Sequence[int] | None = None,
) -> Tensor:
    """Map of amplitude x exp(-r^2 / 2), with r the distance to the landmark in standard deviations.

    A landmark is outside when it is more than half a voxel beyond the outermost voxel centres: its map is 0. A missing
    one has a map of NaN, where no loss counts.

    Args:
        points: B N 3 (2D: B N 2), indices z, y, x; centres of voxels are whole numbers, NaN is missing.
        shape: voxels of the maps along each axis.
        sigma: standard deviation in voxels: a number, one per axis, or a tensor that broadcasts to N D. Divide a
            physical length by the spacing.
        amplitude: value at the landmark: a number, or one per landmark.
        angles: turns the Gaussian's axes, in degrees: N (2D) or N 3 (3D: about z, y, x), see
            `geometry.rotations.rotation_matrix`; `None`: they are those of the image.
        full_shape: shape of the image, in whose voxels points and sigma are, where `shape` is that of a coarser grid
            over the same image (deep supervision). A landmark x is at (x + 0.5) / 2 - 0.5 where voxels are twice as
            large, and its sigma is half as large there. `None`: `shape`.

    Returns:
        B N D H W (2D: B N H W), in the precision of the points, differentiable in sigma, amplitude, angles and points.

    Raises:
        ValueError: for shapes that do not fit, and a sigma not above 0.

    Source: Payer et al. 2019 (isotropic), Thaler et al. 2021 (with directions).
    """
    dims = len(shape)
    if points.ndim != 3 or points.shape[2] != dims:
        raise ValueError(f"points must have shape B N {dims} for maps of shape {list(shape)}; got {list(points.shape)}")
    if full_shape is not None and len(full_shape) != dims:
        raise ValueError(f"full_shape must have {dims} axes, as shape {list(shape)} has; got {list(full_shape)}")
    points = points if points.is_floating_point() else points.float()
    full = list(full_shape or shape)
    widths = _widths(sigma, points)  # N D
    missing = points.isnan().any(dim=2)  # B N
    outside = ((points < -0.5) | (points >= points.new_tensor(full) - 0.5)).any(dim=2)
    shown = (~missing & ~outside)[..., None]
    centre = torch.where(shown, points, 0.0)  # no NaN may reach a gradient
    away = [
        _places(length, whole, points) - centre[..., axis, None]  # B N n
        for axis, (length, whole) in enumerate(zip(shape, full, strict=True))
    ]
    maps = _aligned(away, widths) if angles is None else _turned(away, widths, _rotations(angles, points))
    height = torch.as_tensor(amplitude, dtype=points.dtype, device=points.device).expand(points.shape[1])
    spatial = [1] * dims
    maps = maps * height.reshape(-1, *spatial) * shown.reshape(*shown.shape[:2], *spatial)
    return torch.where(missing.reshape(*missing.shape, *spatial), torch.nan, maps)


def density_amplitude(gamma: float, sigma: Tensor) -> Tensor:
    """Amplitude with which a heatmap's sum is gamma: gamma / (2 pi sigma1 sigma2) in 2D.

    A wider heatmap is lower then, so that a loss does not prefer narrow ones for having fewer voxels above 0.

    Args:
        gamma: the sum over a map.
        sigma: standard deviations in voxels, N D.

    Returns:
        N.
    """
    return gamma / (math.sqrt(2 * math.pi) * sigma).prod(dim=1)


def _widths(sigma: Numbers, points: Tensor) -> Tensor:
    """Standard deviations as N D."""
    widths = torch.as_tensor(sigma, dtype=points.dtype, device=points.device)
    if not (widths > 0).all():
        raise ValueError(f"sigma must be above 0 everywhere; got {widths.tolist()}")
    try:
        return widths.expand(points.shape[1:])
    except RuntimeError as error:
        raise ValueError(
            f"sigma must be a number, {points.shape[2]} numbers (one per axis), or a tensor that broadcasts to "
            f"{list(points.shape[1:])}; got shape {list(widths.shape)}"
        ) from error


def _places(length: int, whole: int, like: Tensor) -> Tensor:
    """Centres of a grid's voxels along an axis, as indices of the image."""
    return (torch.arange(length, dtype=like.dtype, device=like.device) + 0.5) * (whole / length) - 0.5


def _aligned(away: Sequence[Tensor], widths: Tensor) -> Tensor:
    """Product of one Gaussian per axis: the exponential of few numbers instead of every voxel's."""
    maps: Tensor | None = None
    for axis, distance in enumerate(away):
        line = torch.exp(-0.5 * (distance / widths[:, axis, None]) ** 2)  # B N n
        maps = line if maps is None else maps.unsqueeze(-1) * line.reshape(*line.shape[:2], *[1] * axis, -1)
    if maps is None:
        raise ValueError("expected at least one spatial axis")
    return maps


def _turned(away: Sequence[Tensor], widths: Tensor, rotations: Tensor) -> Tensor:
    """The Gaussian of coordinates R^T (x - landmark), along its own axes."""
    dims = len(away)
    square: Tensor | float = 0.0
    for own in range(dims):
        along: Tensor | float = 0.0
        for axis, distance in enumerate(away):
            part = distance * rotations[:, axis, own, None]  # B N n
            along = along + part.reshape(*part.shape[:2], *[-1 if a == axis else 1 for a in range(dims)])
        square = square + (along / widths[:, own].reshape(-1, *[1] * dims)) ** 2
    return torch.exp(-0.5 * torch.as_tensor(square))


def _rotations(angles: Tensor, points: Tensor) -> Tensor:
    """Matrices N D D whose columns are a Gaussian's own axes, differentiable in the angles."""
    n, dims = points.shape[1:]
    turns = torch.deg2rad(torch.as_tensor(angles, dtype=points.dtype, device=points.device))
    expected = [[n], [n, 1]] if dims == 2 else [[n, 3]]
    if list(turns.shape) not in expected:
        shapes = " or ".join(map(str, expected))
        raise ValueError(f"angles must have shape {shapes} in {dims}D; got {list(turns.shape)}")
    if dims == 2:
        return _turn(2, 0, 1, turns.reshape(n))
    about = [_turn(3, (axis + 1) % 3, (axis + 2) % 3, turns[:, axis]) for axis in range(3)]
    return about[0] @ about[1] @ about[2]


def _turn(size: int, first: int, second: int, angles: Tensor) -> Tensor:
    """Rotations that take axis `first` towards axis `second`, N -> N D D."""
    plane = torch.zeros(size, size, dtype=angles.dtype, device=angles.device)
    swap = plane.clone()
    plane[first, first] = plane[second, second] = 1.0
    swap[second, first], swap[first, second] = 1.0, -1.0
    rest = torch.eye(size, dtype=angles.dtype, device=angles.device) - plane
    return rest + angles.cos()[:, None, None] * plane + angles.sin()[:, None, None] * swap
