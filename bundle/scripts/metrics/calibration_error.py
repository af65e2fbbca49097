"""Whether probabilities are right as often as they say."""

from __future__ import annotations

from typing import Self

import torch

from .base import Metric, check_same_shape, ratio


class CalibrationError(Metric):
    """Expected calibration error over the known voxels of the whole set: `ece`, from 0 (perfect) to 1.

    Each voxel has a predicted class and a confidence, the probability of that class: with one channel, foreground
    where its probability p is above 0.5, and p or 1 - p; with C > 1 channels, the class of highest probability. Voxels
    are binned by confidence; the number is the difference of mean confidence and share of right classes in a bin,
    without sign, averaged over the bins by their numbers of voxels (Guo et al. 2017). One channel and the same
    probabilities in two channels give the same number. Labels of C channels count each channel as one.

    Args:
        bins: number of bins of equal width from 0 to 1.

    Raises:
        ValueError: for less than one bin.
    """

    def __init__(self, bins: int = 15) -> None:
        if bins < 1:
            raise ValueError(f"bins is {bins}; expected at least 1")
        self.bins = bins
        super().__init__()

    def reset(self) -> None:
        self._sums = torch.zeros(3, self.bins, dtype=torch.float64)  # voxels, confidence, right ones

    def update(self, prediction: torch.Tensor, label: torch.Tensor) -> None:
        known = label >= 0
        if prediction.shape[1] == 1 or label.shape[1] > 1:
            check_same_shape(prediction, label)
            right = (prediction > 0.5) == (label > 0)
            confidence = torch.maximum(prediction, 1 - prediction)
        else:
            check_same_shape(prediction[:, :1], label)
            truth, known = label[:, 0], known[:, 0]  # B 1 D H W -> B D H W
            confidence, predicted = prediction.max(dim=1)
            right = predicted == truth
        counted, correct = confidence[known].cpu().double(), right[known].cpu().double()
        place = (counted * self.bins).long().clamp(0, self.bins - 1)
        for row, values in zip(self._sums, (torch.ones_like(counted), counted, correct), strict=True):
            row += torch.bincount(place, weights=values, minlength=self.bins)

    def merge(self, other: Self) -> None:
        self._sums += other._sums

    def compute(self) -> dict[str, float]:
        voxels, confidence, right = self._sums
        return {"ece": ratio(float((confidence - right).abs().sum()), float(voxels.sum()))}
