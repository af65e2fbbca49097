"""Errors of predicted numbers."""

from __future__ import annotations

from typing import Self

import torch

from .base import Metric, check_same_shape, known_pairs, ratio

_Channels = torch.Tensor | float  # a number per channel, C; 0 before the first batch


class MeanAbsoluteError(Metric):
    """Mean absolute difference over the known numbers: `mae`, in the label's unit."""

    def reset(self) -> None:
        self._sum = 0.0
        self._count = 0

    def update(self, prediction: torch.Tensor, label: torch.Tensor) -> None:
        check_same_shape(prediction, label)
        known = torch.isfinite(label)
        self._sum += float((prediction[known].cpu().double() - label[known].cpu().double()).abs().sum())
        self._count += int(known.sum())

    def merge(self, other: Self) -> None:
        self._sum += other._sum
        self._count += other._count

    def compute(self) -> dict[str, float]:
        return {"mae": ratio(self._sum, self._count)}


class R2(Metric):
    """Share of the labels' variance that the prediction explains, mean over channels: `r2`.

    1 is perfect, 0 as good as the labels' own mean, below 0 worse. NaN where the labels do not vary. A voxel counts
    when all its channels are known.

    Means and squared deviations of batches are merged as in Chan et al. 1979; sums of squares would lose the variance
    of labels far from 0.
    """

    def reset(self) -> None:
        self._count = 0
        self._mean: _Channels = 0.0
        self._deviation: _Channels = 0.0  # summed squares around the mean
        self._residual: _Channels = 0.0  # summed squares of the errors

    def update(self, prediction: torch.Tensor, label: torch.Tensor) -> None:
        predicted, true = known_pairs(prediction, label)  # N C
        if len(true):
            mean = true.mean(dim=0)
            deviation = ((true - mean) ** 2).sum(dim=0)
            self._add(len(true), mean, deviation, ((predicted - true) ** 2).sum(dim=0))

    def merge(self, other: Self) -> None:
        if other._count:
            self._add(other._count, other._mean, other._deviation, other._residual)

    def _add(self, n: int, mean: _Channels, deviation: _Channels, residual: _Channels) -> None:
        step = mean - self._mean
        total = self._count + n
        self._deviation = self._deviation + deviation + step**2 * (self._count * n / total)
        self._mean = self._mean + step * (n / total)
        self._residual = self._residual + residual
        self._count = total

    def compute(self) -> dict[str, float]:
        if self._count == 0:
            return {"r2": float("nan")}
        residuals, deviations = torch.as_tensor(self._residual).tolist(), torch.as_tensor(self._deviation).tolist()
        channels = [1 - ratio(r, d) for r, d in zip(residuals, deviations, strict=True)]
        return {"r2": sum(channels) / len(channels)}
