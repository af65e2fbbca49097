"""How sure a network, or an ensemble of them, is of a landmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.stats import spearmanr
from torch import Tensor

from .decoding import SUBPIXEL, decode_heatmaps


def s_mha(heatmaps: Tensor, decoding: str = SUBPIXEL) -> tuple[Tensor, Tensor]:
    """Single-model maximum heatmap activation: place and value of each map's maximum.

    The value is a confidence: change its sign before it is ranked or binned as an uncertainty.

    Args:
        heatmaps: of one model, B N D H W (2D: B N H W).
        decoding: see `decode_heatmaps`.

    Returns:
        points B N 3 and activations B N.

    Source: Schobs et al. 2022, also of the two others.
    """
    return decode_heatmaps(heatmaps, decoding)


def e_mha(heatmaps: Tensor | Sequence[Tensor], decoding: str = SUBPIXEL) -> tuple[Tensor, Tensor]:
    """Ensemble maximum heatmap activation: place and value of the maximum of the members' mean map.

    The value is a confidence, as that of `s_mha`.

    Args:
        heatmaps: of all members, M B N D H W (2D: M B N H W), or a list of M.
        decoding: see `decode_heatmaps`.

    Returns:
        points B N 3 and activations B N.

    Raises:
        ValueError: without any member.
    """
    members = list(heatmaps)
    if not members:
        raise ValueError("heatmaps has no members; expected at least one")
    mean = torch.zeros_like(members[0], dtype=torch.promote_types(members[0].dtype, torch.float32))
    for member in members:  # one after the other: a stack would double the memory
        mean = mean + member
    return decode_heatmaps(mean / len(members), decoding)


@dataclass(frozen=True)
class CoordinateSpread:
    """How far the coordinates of an ensemble's members are apart.

    Args:
        points: mean of the members' coordinates in voxels, B N 3.
        distance: mean distance of the members to that mean, B N: the uncertainty `ecpv`.
        variance: mean squared distance, B N: the sum of the coordinates' variances.
    """

    points: Tensor
    distance: Tensor
    variance: Tensor


def e_cpv(points: Tensor | Sequence[Tensor], spacing: Sequence[float] | None = None) -> CoordinateSpread:
    """Ensemble coordinate prediction variance.

    Its authors call it a variance and compute the mean distance; both are here.

    Args:
        points: of all members, M B N 3, or a list of M; members whose coordinates are NaN do not count.
        spacing: physical size of a voxel along z, y, x, for distances in its unit; `None`: in voxels.

    Raises:
        ValueError: without any member, and for another number of spacings than axes.
    """
    members = points if isinstance(points, Tensor) else torch.stack(list(points)) if len(points) else torch.zeros(0)
    if members.ndim != 4 or len(members) == 0:
        raise ValueError(f"points must have shape M B N D with at least one member; got {list(members.shape)}")
    if spacing is not None and len(spacing) != members.shape[3]:
        raise ValueError(f"spacing must hold {members.shape[3]} lengths, one per axis; got {list(spacing)}")
    members = torch.where(members.isnan().any(dim=3, keepdim=True), torch.nan, members)
    mean = members.nanmean(dim=0)  # M B N D -> B N D
    away = members - mean
    if spacing is not None:
        away = away * away.new_tensor(list(spacing))
    squared = away.square().sum(dim=3)  # M B N D -> M B N
    return CoordinateSpread(mean, squared.sqrt().nanmean(dim=0), squared.nanmean(dim=0))


def uncertainty_correlation(uncertainty: ArrayLike, error: ArrayLike) -> float:
    """Spearman's rank correlation of uncertainties with errors, over the pairs where both are known.

    Args:
        uncertainty: numbers of any shape, larger is less sure (an activation with its sign changed).
        error: radial errors, same shape; where one is NaN or infinite, the landmark is left out.

    Returns:
        -1 to 1; NaN with fewer than 2 pairs, and where either does not vary.

    Raises:
        ValueError: when the shapes differ.
    """
    known_uncertainty, known_error = known_values(uncertainty, error)
    if len(known_error) < 2 or np.ptp(known_uncertainty) == 0 or np.ptp(known_error) == 0:
        return float("nan")
    return float(spearmanr(known_uncertainty, known_error).statistic)


def known_values(uncertainty: ArrayLike, error: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of which both numbers are finite, as two vectors.

    Raises:
        ValueError: when the shapes differ.
    """
    first, second = (np.asarray(values, dtype=float) for values in (uncertainty, error))
    if first.shape != second.shape:
        raise ValueError(f"uncertainty has shape {list(first.shape)}, but error has {list(second.shape)}")
    known = np.isfinite(first) & np.isfinite(second)
    return first[known], second[known]
