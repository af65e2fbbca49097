"""Heatmap regression in which the truth's width is learnt with the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import nn

from ..geometry import did_you_mean
from .inputs import check_same_shape, full_precision, mean_where

PRODUCT = "product"
NORM = "norm"

_WEIGHTS = {PRODUCT: 5.0, NORM: 0.005}


class LearnedHeatmaps(Protocol):
    """Heatmaps with learnable widths, such as `scripts.landmarks.LearnedSigma`."""

    @property
    def spatial_dims(self) -> int:
        """Axes of the maps, 2 or 3."""

    @property
    def widths(self) -> torch.Tensor:
        """Standard deviations, N D or N 1."""

    @property
    def sigmas(self) -> torch.Tensor:
        """Standard deviations along each axis, N D."""

    def __call__(
        self, points: torch.Tensor, shape: Sequence[int], full_shape: Sequence[int] | None = None
    ) -> torch.Tensor:
        """Points B N 3 -> maps B N D H W; missing ones are NaN."""


class SigmaRegressionLoss(nn.Module):
    """Squared distance to heatmaps of learnable width, and a penalty on the width.

    The truth is drawn from the landmarks' coordinates and differentiable in the widths. What annotations do not agree
    about is an error that no network can avoid; it falls with wider (and lower) heatmaps, and the penalty keeps them
    from growing without end.

    - `"product"` (Thaler et al. 2021): 1/2 ||h^ - h||^2 + weight sigma1 sigma2 (in 3D the product of three), summed
      over voxels and landmarks, divided by the batch size. A missing landmark adds neither of the two.
    - `"norm"` (Payer et al. 2019): mean squared distance over the voxels of the known landmarks, + weight ||sigma||,
      the norm over all landmarks.

    The widths are parameters of this loss: the optimiser needs them beside those of the network.

    Args:
        heatmaps: draws the truth; see `scripts.landmarks.LearnedSigma`.
        penalty: `"product"` or `"norm"`.
        weight: of the penalty; `None`: 5 for the product, 0.005 for the norm.

    Raises:
        ValueError: for another penalty, and a negative weight.
    """

    def __init__(self, heatmaps: LearnedHeatmaps, penalty: str = PRODUCT, weight: float | None = None) -> None:
        super().__init__()
        if penalty not in _WEIGHTS:
            raise ValueError(
                f"penalty must be one of {', '.join(_WEIGHTS)}; got {penalty!r}{did_you_mean(penalty, _WEIGHTS)}"
            )
        if weight is not None and not weight >= 0:
            raise ValueError(f"weight must be at least 0; got {weight!r}")
        self.heatmaps = heatmaps
        self.penalty = penalty
        self.weight = _WEIGHTS[penalty] if weight is None else weight

    def forward(
        self, prediction: torch.Tensor, points: torch.Tensor, full_shape: Sequence[int] | None = None
    ) -> torch.Tensor:
        """Compute the loss.

        Args:
            prediction: heatmaps, B N D H W (2D: B N H W; or, with heatmaps in 2D, B N 1 H W).
            points: landmarks as indices z, y, x, B N 3 (2D: B N 2); NaN is missing, one outside has a map of 0.
            full_shape: voxels of the image, in which the points are, where the prediction is that of a coarser level;
                `None`: the prediction's.

        Raises:
            ValueError: when the shapes do not fit.
        """
        predicted = full_precision(prediction)
        shape = list(prediction.shape[2:])
        if self.heatmaps.spatial_dims == 2 and len(shape) == 3 and shape[0] == 1:  # a slice
            predicted, points, shape = predicted.squeeze(2), points[..., 1:], shape[1:]
            full_shape = None if full_shape is None else full_shape[1:]
        truth = self.heatmaps(points, shape, full_shape)
        check_same_shape(predicted, truth)
        known = ~points.isnan().any(dim=2)  # B N
        counts = known.reshape(*known.shape, *[1] * (predicted.ndim - 2)).expand_as(predicted)
        squared = torch.where(counts, predicted - torch.where(counts, truth, 0.0), 0.0).square()
        if self.penalty == NORM:
            return mean_where(squared, counts) + self.weight * torch.linalg.vector_norm(self.heatmaps.widths)
        areas = (known * self.heatmaps.sigmas.prod(dim=1)).sum()
        return (0.5 * squared.sum() + self.weight * areas) / len(predicted)
