"""Values of a map of features at points between its voxels (plain tensors)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from .targets import did_you_mean

POINT_MODES = ("nearest", "linear")


def sample_at_points(features: Tensor, points: Tensor, mode: str = "linear") -> Tensor:
    """Read a map of features at points.

    Args:
        features: B C D H W (2D: B C H W); half precision is read as float32.
        points: B N 3 (2D: B N 2), indices z, y, x; centres of voxels are whole numbers. Beyond the outermost centres
            the border continues. A point with NaN is absent.
        mode: `"nearest"` (halves are rounded up) or `"linear"`.

    Returns:
        B N C; NaN for absent points, which pass no gradient.

    Raises:
        ValueError: for shapes that do not fit, and another mode.
    """
    if mode not in POINT_MODES:
        raise ValueError(f"mode must be one of {', '.join(POINT_MODES)}; got {mode!r}{did_you_mean(mode, POINT_MODES)}")
    dims = features.ndim - 2
    if points.ndim != 3 or len(points) != len(features) or points.shape[2] != dims:
        raise ValueError(
            f"features of shape {list(features.shape)} take points of shape [{len(features)}, N, {dims}]; "
            f"got {list(points.shape)}"
        )
    present = torch.isfinite(points).all(dim=2, keepdim=True)
    places = torch.where(present, points, 0.0).float()
    if mode == "nearest":
        places = (places + 0.5).floor()
    last = places.new_tensor(features.shape[2:]) - 1
    # `grid_sample` counts from -1 to 1, x first; an axis of one voxel has one place
    grid = (2 * torch.minimum(places.clamp(min=0), last) / last.clamp(min=1) - 1).flip(2)
    grid = grid.reshape(len(points), -1, *[1] * (dims - 1), dims)  # B N 3 -> B N 1 1 3
    values = features.float() if features.dtype in (torch.float16, torch.bfloat16) else features
    read = grid_sample(values, grid.to(values.dtype), "bilinear", "border", align_corners=True)
    return torch.where(present, read.flatten(2).transpose(1, 2), torch.nan)  # B C N 1 1 -> B N C
