"""Losses without negatives: points alike in both views, and channels that do not repeat each other."""

from __future__ import annotations

import torch
from monai.losses import BarlowTwinsLoss
from torch import nn
from torch.nn import functional as F

from .point_inputs import common_rows, without_autocast

_SMALLEST_VARIANCE = 1e-4


class PointBarlowTwinsLoss(nn.Module):
    """Distance of the correlation between the channels of both views from the identity.

    In float32, within autocast too. With fewer than two points the loss is 0, and so is its gradient.

    Source: Barlow Twins (Zbontar et al. 2021), which is `monai.losses.BarlowTwinsLoss`, at points.

    Args:
        off_diagonal: factor of correlations between different channels.
    """

    def __init__(self, off_diagonal: float = 5e-3) -> None:
        super().__init__()
        self.loss = BarlowTwinsLoss(lambd=off_diagonal)

    def forward(self, first: torch.Tensor, second: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor:
        """Compute the loss; arguments as in `PointContrastiveLoss`."""
        first, second = common_rows(first, second, present)
        if len(first) < 2:
            return 0 * (first.sum() + second.sum())
        with without_autocast(first):
            return self.loss(first, second)


class PointVICRegLoss(nn.Module):
    """Invariance, variance and covariance.

    The weighted sum of: the squared difference between both views, mean over points and channels; how far each
    channel's standard deviation is below 1, mean over channels and views; and the squared covariances of different
    channels, divided by the number of channels, added over both views.

    In float32, within autocast too. With fewer than two points the loss is 0, and so is its gradient.

    Source: VICReg (Bardes et al. 2022), with the means of the authors' program.

    Args:
        invariance: factor of the first term.
        variance: factor of the second.
        covariance: factor of the third.
    """

    def __init__(self, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0) -> None:
        super().__init__()
        factors = (invariance, variance, covariance)
        if min(factors) < 0 or max(factors) == 0:
            raise ValueError(
                "factors must not be negative nor all 0; got "
                f"invariance = {invariance}, variance = {variance}, covariance = {covariance}"
            )
        self.invariance = invariance
        self.variance = variance
        self.covariance = covariance

    def forward(self, first: torch.Tensor, second: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor:
        """Compute the loss; arguments as in `PointContrastiveLoss`."""
        first, second = common_rows(first, second, present)
        if len(first) < 2:
            return 0 * (first.sum() + second.sum())
        with without_autocast(first):
            spread = torch.stack([_lack_of_spread(view) for view in (first, second)]).mean()
            shared = torch.stack([_shared(view) for view in (first, second)]).sum()
            return self.invariance * F.mse_loss(first, second) + self.variance * spread + self.covariance * shared


def _lack_of_spread(vectors: torch.Tensor) -> torch.Tensor:
    """How far standard deviations of channels are below 1, mean; N C."""
    return F.relu(1 - (vectors.var(dim=0) + _SMALLEST_VARIANCE).sqrt()).mean()


def _shared(vectors: torch.Tensor) -> torch.Tensor:
    """Squared covariances of different channels, over their number; N C."""
    covariance = torch.cov(vectors.T).reshape(vectors.shape[1], -1)
    return (covariance**2).fill_diagonal_(0).sum() / vectors.shape[1]
