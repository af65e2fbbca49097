"""From heatmaps to coordinates, at the network's resolution or at that of the image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..geometry import did_you_mean
from ..geometry.peaks import check_heatmaps, highest_voxels, refine_points, soft_argmax
from ..geometry.separable import apply_along_axes

ARGMAX = "argmax"
SUBPIXEL = "subpixel"
SOFT_ARGMAX = "soft_argmax"

DECODINGS = (ARGMAX, SUBPIXEL, SOFT_ARGMAX)
"""Highest voxel; the maximum between voxels (`refine_points`); the mean place (`soft_argmax`)."""

SCALE_HEATMAP_FIRST = "scale_heatmap_first"
SCALE_PRED_COORDS = "scale_pred_coords"
USE_INPUT_SIZE = "use_input_size"

EVALUATION_MODES = (SCALE_HEATMAP_FIRST, SCALE_PRED_COORDS, USE_INPUT_SIZE)
"""Decode heatmaps resized to the image; scale coordinates to the image; stay at the network's resolution."""


def decode_heatmaps(
    heatmaps: Tensor, decoding: str = SUBPIXEL, *, temperature: float = 1.0, window: int | None = None
) -> tuple[Tensor, Tensor]:
    """Coordinates of landmarks, and how high their maps are.

    Args:
        heatmaps: B N D H W (2D: B N H W).
        decoding: one of `DECODINGS`.
        temperature: of `"soft_argmax"`.
        window: of `"soft_argmax"`.

    Returns:
        indices z, y, x (2D: y, x), B N 3, NaN where a map is constant or holds NaN; and the highest values, B N, of
        `"soft_argmax"` the highest weight, 0 to 1: such maps are trained by where they are high, not by how high.

    Raises:
        ValueError: for an unknown decoding, and maps without spatial axes.
    """
    if decoding not in DECODINGS:
        raise ValueError(
            f"decoding must be one of {', '.join(DECODINGS)}; got {decoding!r}{did_you_mean(decoding, DECODINGS)}"
        )
    points, values = highest_voxels(heatmaps)
    if decoding == SUBPIXEL:
        points = refine_points(heatmaps, points)
    elif decoding == SOFT_ARGMAX:
        points = torch.where(points.isnan(), torch.nan, soft_argmax(heatmaps, temperature, window))
        scaled = heatmaps.float().flatten(2) / temperature
        values = (values.float() / temperature - scaled.logsumexp(dim=2)).exp()
    return points, values


def decode_at(
    mode: str,
    heatmaps: Tensor,
    full_shape: Sequence[int],
    decoding: str = SUBPIXEL,
    *,
    temperature: float = 1.0,
    window: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Decode in one of the three evaluation modes of LaNNU-Net.

    Args:
        mode: one of `EVALUATION_MODES`.
        heatmaps: B N D H W (2D: B N H W), of an image that was resized from `full_shape`.
        full_shape: voxels of the image as it was, along each axis.
        decoding: see `decode_heatmaps`.
        temperature: see `decode_heatmaps`.
        window: see `decode_heatmaps`; in voxels of the maps that are decoded.

    Returns:
        indices B N 3, of the image as it was, or with `"use_input_size"` of the heatmaps; and the highest values of the
        heatmaps as given, B N, in every mode (see `decode_heatmaps`).

    Raises:
        ValueError: for an unknown mode, and as `decode_heatmaps`.
    """
    if mode not in EVALUATION_MODES:
        known = ", ".join(EVALUATION_MODES)
        raise ValueError(f"mode must be one of {known}; got {mode!r}{did_you_mean(mode, EVALUATION_MODES)}")
    points, values = decode_heatmaps(heatmaps, decoding, temperature=temperature, window=window)
    if mode == SCALE_PRED_COORDS:
        points = scale_points(points, heatmaps.shape[2:], full_shape)
    elif mode == SCALE_HEATMAP_FIRST:
        # landmark by landmark: all maps of a volume at its full size may not fit into memory
        maps = heatmaps.split(1, dim=1)
        decoded = [
            decode_heatmaps(resize_heatmaps(one, full_shape), decoding, temperature=temperature, window=window)[0]
            for one in maps
        ]
        # a constant map is no longer quite constant once it is resized
        points = torch.where(points.isnan(), torch.nan, torch.cat(decoded, dim=1))
    return points, values


def scale_points(points: Tensor, shape: Sequence[int], full_shape: Sequence[int]) -> Tensor:
    """Indices in a grid of other voxels over the same image: (x + 0.5) f - 0.5 with f = full_shape / shape.

    Args:
        points: ... 3, indices in a grid of `shape`; NaN stays NaN.
        shape: voxels of the grid along each axis.
        full_shape: voxels of the other grid.

    Raises:
        ValueError: when the numbers of axes differ.
    """
    if not points.shape[-1] == len(shape) == len(full_shape):
        raise ValueError(
            f"points of {points.shape[-1]} coordinates need shapes of as many axes; "
            f"got shape {list(shape)} and full_shape {list(full_shape)}"
        )
    factor = points.new_tensor([full / n for full, n in zip(full_shape, shape, strict=True)])
    return (points + 0.5) * factor - 0.5


def resize_heatmaps(heatmaps: Tensor, shape: Sequence[int]) -> Tensor:
    """Heatmaps at another size, by cubic interpolation along each axis (in 2D: bicubic, as torch has it).

    Args:
        heatmaps: B N D H W (2D: B N H W).
        shape: voxels along each axis.

    Returns:
        B N followed by `shape`.

    Raises:
        ValueError: when the numbers of axes differ.
    """
    check_heatmaps(heatmaps)
    if len(shape) != heatmaps.ndim - 2:
        raise ValueError(f"heatmaps of shape {list(heatmaps.shape)} cannot be resized to {list(shape)}")
    values = heatmaps if heatmaps.dtype == torch.float64 else heatmaps.float()
    matrices = [_cubic(n, new, values) for n, new in zip(values.shape[2:], shape, strict=True)]
    resized = apply_along_axes(values.flatten(0, 1), matrices)  # B N D H W -> M D H W
    return resized.unflatten(0, heatmaps.shape[:2])


def voxels_to_world(points: Tensor, affine: Tensor) -> Tensor:
    """Physical positions of indices, in the unit of the affine (mm for clinical images).

    Args:
        points: B N 3 (2D: B N 2), indices z, y, x; NaN stays NaN.
        affine: index z, y, x to physical position: (R + 1) x (R + 1) with R >= D, for all, or B of them. MONAI gives 2D
            images a 4 x 4 matrix, too.

    Returns:
        B N 3, float64.

    Raises:
        ValueError: when the affine has another shape.
    """
    dims = points.shape[-1]
    matrix = torch.as_tensor(affine).to(points.device, torch.float64)
    fits = matrix.ndim in (2, 3) and matrix.shape[-1] == matrix.shape[-2] > dims
    if points.ndim != 3 or not fits or (matrix.ndim == 3 and len(matrix) != len(points)):
        raise ValueError(
            f"points of shape {list(points.shape)} need B N {dims} and an affine of at least {dims + 1} x {dims + 1}, "
            f"one or one per batch entry; got shape {list(matrix.shape)}"
        )
    linear, translation = matrix[..., :dims, :dims], matrix[..., None, :dims, -1]
    return points.double() @ linear.mT + translation


def _cubic(n: int, new: int, like: Tensor) -> Tensor | None:
    """Matrix, new x n, that interpolates along an axis; `None` where nothing changes."""
    if n == new:
        return None
    impulses = torch.eye(n, dtype=like.dtype, device=like.device)[None, None]  # 1 1 n n
    rows = F.interpolate(impulses, size=(n, new), mode="bicubic", align_corners=False)[0, 0]  # n new
    return rows.T
