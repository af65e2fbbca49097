"""Distance of heatmaps that is steep where they are high."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from .inputs import check_same_shape, full_precision, mean_where

_POOLING = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


class AdaptiveWingLoss(nn.Module):
    """Adaptive wing loss of heatmaps, averaged over the known voxels.

    With y the truth and d the distance to it, both after division by `amplitude`:

        omega ln(1 + (d / epsilon)^(alpha - y))   for d < theta, else   A d - C

    with A and C such that value and slope are continuous at theta. Voxels at and beside high truth count more: by
    1 + `map_weight` where the largest truth among the voxel and its neighbours is at least `map_threshold`. A voxel
    counts when its truth is finite. Without any that counts the loss is 0, and so is its gradient.

    Source: Wang et al. 2019, who have the same numbers.

    Args:
        amplitude: the heatmaps' value at a landmark.
        omega: height of the curved part.
        theta: distance from which on the loss is linear.
        epsilon: distance at which the curved part bends.
        alpha: exponent where the truth is 0, above 2: there, the loss is flat around no distance.
        map_weight: additional weight of high voxels; 0: all weigh the same.
        map_threshold: truth, from 0 to 1, from which on a voxel is high.

    Raises:
        ValueError: for numbers that are not above 0, an alpha not above 2, and a negative weight.
    """

    def __init__(
        self,
        amplitude: float = 1.0,
        *,
        omega: float = 14.0,
        theta: float = 0.5,
        epsilon: float = 1.0,
        alpha: float = 2.1,
        map_weight: float = 10.0,
        map_threshold: float = 0.2,
    ) -> None:
        super().__init__()
        if not min(amplitude, omega, theta, epsilon) > 0:
            raise ValueError(
                "amplitude, omega, theta and epsilon must be above 0; "
                f"got amplitude = {amplitude}, omega = {omega}, theta = {theta}, epsilon = {epsilon}"
            )
        if not alpha > 2 or not map_weight >= 0:
            raise ValueError(
                f"alpha must be above 2 and map_weight at least 0; got alpha = {alpha}, map_weight = {map_weight}"
            )
        self.amplitude = amplitude
        self.omega = omega
        self.theta = theta
        self.epsilon = epsilon
        self.alpha = alpha
        self.map_weight = map_weight
        self.map_threshold = map_threshold

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the loss.

        Args:
            prediction: heatmaps, B N D H W or B N H W.
            target: heatmaps, same shape; NaN does not count.

        Raises:
            ValueError: when the shapes differ.
        """
        check_same_shape(prediction, target)
        known = torch.isfinite(target)
        predicted = full_precision(prediction) / self.amplitude
        truth = torch.where(known, target, 0.0).to(predicted.dtype) / self.amplitude
        distance = torch.where(known, predicted - truth, 0.0).abs()
        power = self.alpha - truth
        edge = (self.theta / self.epsilon) ** power
        slope = self.omega * power * edge / ((1 + edge) * self.theta)
        offset = self.theta * slope - self.omega * torch.log1p(edge)
        # Distances of the linear part are kept out of the power: both parts have a gradient.
        near = distance.clamp(max=self.theta)
        curved = self.omega * torch.log1p((near / self.epsilon) ** power)
        losses = torch.where(distance < self.theta, curved, slope * distance - offset)
        return mean_where(losses * self._weights(truth), known)

    def _weights(self, truth: torch.Tensor) -> torch.Tensor:
        """1, or more where a neighbour's truth is high, B N D H W."""
        largest = _POOLING[truth.ndim - 2](truth, kernel_size=3, stride=1, padding=1)
        return 1 + self.map_weight * (largest >= self.map_threshold)
