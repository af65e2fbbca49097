"""Errors of predicted vectors and directions."""

from __future__ import annotations

import math
from typing import Self

import torch

from .base import Metric, known_pairs, ratio

_BINS_PER_DEGREE = 20


class EndPointError(Metric):
    """Mean length of the difference of predicted and true vectors: `epe`, in the vectors' unit."""

    def reset(self) -> None:
        self._sum = 0.0
        self._lengths = 0.0
        self._count = 0

    def update(self, prediction: torch.Tensor, label: torch.Tensor) -> None:
        predicted, true = known_pairs(prediction, label)  # N C
        self._sum += float((predicted - true).norm(dim=1).sum())
        self._lengths += float(true.norm(dim=1).sum())
        self._count += len(true)

    def merge(self, other: Self) -> None:
        self._sum += other._sum
        self._lengths += other._lengths
        self._count += other._count

    def compute(self) -> dict[str, float]:
        return {"epe": ratio(self._sum, self._count)}

    @property
    def mean_length(self) -> float:
        """Mean length of the true vectors, against which the error is small or large."""
        return ratio(self._lengths, self._count)


class AngularError(Metric):
    """Median angle between predicted and true directions: `angle`, in degrees from 0 to 180.

    Voxels without a true direction (zero or NaN) do not count. A prediction of length zero is 90 degrees off, one that
    is not finite 180. Angles are counted in bins of 0.05 degrees, which bounds the memory and the median's error.
    """

    def reset(self) -> None:
        self._histogram = torch.zeros(180 * _BINS_PER_DEGREE, dtype=torch.int64)

    def update(self, prediction: torch.Tensor, label: torch.Tensor) -> None:
        predicted, true = known_pairs(prediction, label)  # N C
        directed = (true != 0).any(dim=1)
        a = torch.nn.functional.normalize(predicted[directed], dim=1)
        b = torch.nn.functional.normalize(true[directed], dim=1)
        # Exact at 0 and 180 degrees, where the arc cosine is not.
        radians = 2 * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1))
        degrees = torch.rad2deg(radians.nan_to_num(nan=math.pi))
        bins = (degrees * _BINS_PER_DEGREE).long().clamp(max=len(self._histogram) - 1)
        self._histogram += torch.bincount(bins, minlength=len(self._histogram))

    def merge(self, other: Self) -> None:
        self._histogram += other._histogram

    def compute(self) -> dict[str, float]:
        count = int(self._histogram.sum())
        if count == 0:
            return {"angle": float("nan")}
        below = self._histogram.cumsum(dim=0)
        middle = int(torch.searchsorted(below, (count + 1) // 2))
        return {"angle": (middle + 0.5) / _BINS_PER_DEGREE}
