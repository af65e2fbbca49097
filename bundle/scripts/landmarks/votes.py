"""From PHD-Net's patches to landmarks: every patch votes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from ..geometry.peaks import highest_voxels, refine_points
from ..geometry.separable import apply_along_axes
from .displacement import decode_displacement
from .patch_grid import PATCH_SIZE, patch_centres, patch_grid_shape, patch_sizes

_INTERPOLATION = {1: "linear", 2: "bilinear", 3: "trilinear"}


def decode_votes(
    class_maps: Tensor | None,
    displacements: Tensor | None,
    shape: Sequence[int],
    *,
    patch_size: int | Sequence[int] = PATCH_SIZE,
    vote_sigma: float = 1.0,
    log_transform: bool = True,
) -> tuple[Tensor, Tensor]:
    """Find the landmarks on which most patches agree, where the class map says that they may be.

    Each patch votes at its centre plus its displacement with a small Gaussian; votes are multiplied with the class map,
    interpolated to the image. The landmark is at the maximum, between voxels, and the maximum is the confidence. Votes
    beyond the image are lost.

    Source: PHD-Net (Schobs et al. 2021).

    Args:
        class_maps: B N and the patch grid; values below 0 count as 0. `None` (displacement branch alone): votes decide.
        displacements: B (N D) and the patch grid, as `patch_displacements` writes them. `None` (heatmap branch alone):
            the class map decides.
        shape: voxels of the image along each axis.
        patch_size: voxels of a patch, one number or one per axis.
        vote_sigma: standard deviation of a vote in voxels.
        log_transform: whether the displacements were written by `encode_displacement`.

    Returns:
        indices z, y, x, B N 3, NaN where nothing is above 0; and confidences, B N: share of all patches whose votes
        meet, times the class map.

    Raises:
        ValueError: when both maps are missing, and for shapes and numbers that do not fit.
    """
    score_maps = vote_maps(
        class_maps,
        displacements,
        shape,
        patch_size=patch_size,
        vote_sigma=vote_sigma,
        log_transform=log_transform,
    )
    points, confidence = highest_voxels(score_maps)
    return refine_points(score_maps, points), confidence


def vote_maps(
    class_maps: Tensor | None,
    displacements: Tensor | None,
    shape: Sequence[int],
    *,
    patch_size: int | Sequence[int] = PATCH_SIZE,
    vote_sigma: float = 1.0,
    log_transform: bool = True,
) -> Tensor:
    """Votes times class map over the image, B N D H W; see `decode_votes`.

    Raises:
        ValueError: as `decode_votes`.
    """
    if not vote_sigma > 0:
        raise ValueError(f"vote_sigma must be above 0; got {vote_sigma!r}")
    _check(class_maps, displacements, shape, patch_size)
    votes: Tensor | float = 1.0
    if displacements is not None:
        votes = _votes(displacements, shape, patch_size, vote_sigma, log_transform)
    if class_maps is None:
        return torch.as_tensor(votes)
    upsampled = _upsample(class_maps.float().clamp(min=0), patch_sizes(patch_size, len(shape)), shape)
    return upsampled * votes


def _check(
    class_maps: Tensor | None, displacements: Tensor | None, shape: Sequence[int], patch_size: int | Sequence[int]
) -> None:
    """Check that there are maps, that they are those of the image's patches, and that they have the same landmarks."""
    if class_maps is None and displacements is None:
        raise ValueError("class_maps and displacements are both None; give at least one")
    grid, dims = patch_grid_shape(shape, patch_size), len(shape)
    if class_maps is not None and tuple(class_maps.shape[2:]) != grid:
        raise ValueError(
            f"class_maps of an image of {list(shape)} must have shape B N {list(grid)}; got {list(class_maps.shape)}"
        )
    if displacements is None:
        return
    if tuple(displacements.shape[2:]) != grid or displacements.shape[1] % dims:
        raise ValueError(
            f"displacements in an image of {list(shape)} must have shape B (N {dims}) {list(grid)}; "
            f"got {list(displacements.shape)}"
        )
    if class_maps is not None and class_maps.shape[1] * dims != displacements.shape[1]:
        raise ValueError(
            f"{class_maps.shape[1]} class maps need {class_maps.shape[1] * dims} channels of displacements, {dims} "
            f"each; got {displacements.shape[1]}"
        )


def _votes(
    displacements: Tensor, shape: Sequence[int], patch_size: int | Sequence[int], sigma: float, log_transform: bool
) -> Tensor:
    """Share of all votes near each voxel, B (N D) and the patch grid -> B N D H W."""
    away = displacements.float().unflatten(1, (-1, len(shape)))  # B (N D) and the grid -> B N D and the grid
    if log_transform:
        away = decode_displacement(away)
    places = (away + patch_centres(away.shape[3:], patch_size, away)).flatten(3).transpose(2, 3)  # B N P D
    return _smooth(_cast(places.flatten(0, 1), shape), sigma).unflatten(0, places.shape[:2])


def _cast(places: Tensor, shape: Sequence[int]) -> Tensor:
    """Share of the votes at each voxel, M P D -> M D H W; one between voxels is shared by its neighbours."""
    n_maps, n_votes, dims = places.shape
    size = torch.tensor(list(shape), device=places.device)
    strides = torch.tensor([math.prod(shape[axis + 1 :]) for axis in range(dims)], device=places.device)
    places = places.nan_to_num(nan=-9.0).clamp(-9.0, max(shape) + 9.0)  # numbers that fit into an index
    first = places.floor()
    share = places - first  # M P D, of the upper neighbour
    votes = places.new_zeros(n_maps, math.prod(shape))
    for corner in product((0, 1), repeat=dims):
        upper = torch.tensor(corner, device=places.device)
        index = first.long() + upper
        weight = torch.where(upper.bool(), share, 1 - share).prod(dim=2)
        inside = ((index >= 0) & (index < size)).all(dim=2)
        flat = torch.where(inside, (index * strides).sum(dim=2), 0)
        votes.scatter_add_(1, flat, torch.where(inside, weight, 0.0))
    return votes.reshape(n_maps, *shape) / n_votes


def _smooth(votes: Tensor, sigma: float) -> Tensor:
    """Replace votes by Gaussians of peak 1, M D H W."""
    matrices = []
    for n in votes.shape[1:]:
        index = torch.arange(n, dtype=votes.dtype, device=votes.device)
        matrices.append(torch.exp(-0.5 * ((index - index[:, None]) / sigma) ** 2))
    return apply_along_axes(votes, matrices)


def _upsample(maps: Tensor, sizes: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Linear interpolation between the patches' centres, B N and the patch grid -> B N D H W."""
    dims = len(shape)
    whole = [n * size for n, size in zip(maps.shape[2:], sizes, strict=True)]
    resized = F.interpolate(maps, size=whole, mode=_INTERPOLATION[dims], align_corners=False)
    for axis, n in enumerate(shape, start=2):
        resized = resized.narrow(axis, 0, n)
    return resized
