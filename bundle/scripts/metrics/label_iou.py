"""Intersection over union of predicted and true labels."""

from __future__ import annotations

from typing import Self

import torch

from .base import Metric, ratio
from .label_dice import LabelDice


class LabelIoU(Metric):
    """Intersection over union over the known voxels of the whole set, of the counts that `LabelDice` keeps.

    One channel: `iou`. C > 1 channels: `iou_class1` ... and `iou`, the mean over the classes that occur in labels or
    predictions, without the background (class 0). Labels of C channels: `iou_channel0` ... and their mean.

    Args:
        channels: channels of the prediction.
    """

    def __init__(self, channels: int) -> None:
        self._dice = LabelDice(channels)
        super().__init__()

    def reset(self) -> None:
        self._dice.reset()

    def update(self, prediction: torch.Tensor, label: torch.Tensor) -> None:
        self._dice.update(prediction, label)

    def merge(self, other: Self) -> None:
        self._dice.merge(other._dice)

    def compute(self) -> dict[str, float]:
        # IoU = Dice / (2 - Dice) for each class, but not for means
        scores = {name.replace("dice", "iou"): dice / (2 - dice) for name, dice in self._dice.compute().items()}
        occurring = [score for name, score in scores.items() if name != "iou" and score == score]
        return scores if len(scores) == 1 else scores | {"iou": ratio(sum(occurring), len(occurring))}
