"""Overlap of predicted and true labels."""

from __future__ import annotations

from typing import Self

import torch

from .base import Metric, check_same_shape, ratio


class LabelDice(Metric):
    """Dice coefficient over the known voxels of the whole set.

    Intersections and volumes are summed over the set before they are divided. The mean of patch-wise coefficients
    would not do: a patch without foreground has none, and patches are where the sampler put them. (nnU-Net's
    "pseudo Dice" pools in the same way.)

    One channel: `dice`, foreground where the probability is above 0.5. C > 1 channels: the class of highest
    probability; `dice_class1` ... and `dice`, the mean over the classes that occur in labels or predictions, without
    the background (class 0).

    Args:
        channels: channels of the prediction.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels
        super().__init__()

    def reset(self) -> None:
        self._intersection = torch.zeros(max(1, self.channels - 1), dtype=torch.float64)
        self._volume = torch.zeros_like(self._intersection)

    def update(self, prediction: torch.Tensor, label: torch.Tensor) -> None:
        for i, (predicted, true) in enumerate(foregrounds(prediction, label)):
            self._intersection[i] += int((predicted & true).sum())
            self._volume[i] += int(predicted.sum()) + int(true.sum())

    def merge(self, other: Self) -> None:
        self._intersection += other._intersection
        self._volume += other._volume

    def compute(self) -> dict[str, float]:
        scores = [ratio(2 * a, b) for a, b in zip(self._intersection.tolist(), self._volume.tolist(), strict=True)]
        if self.channels == 1:
            return {"dice": scores[0]}
        occurring = [score for score in scores if score == score]
        return {"dice": ratio(sum(occurring), len(occurring))} | {
            f"dice_class{i}": score for i, score in enumerate(scores, start=1)
        }


def foregrounds(prediction: torch.Tensor, label: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Predicted and true foreground of each class, as booleans B D H W; unknown voxels are in neither.

    Args:
        prediction: probabilities, B C D H W.
        label: B 1 D H W, negative where unknown.

    Raises:
        ValueError: when the shapes do not fit.
    """
    check_same_shape(prediction[:, :1], label)
    truth = label[:, 0]  # B 1 D H W -> B D H W
    known = truth >= 0
    if prediction.shape[1] == 1:
        return [((prediction[:, 0] > 0.5) & known, (truth > 0) & known)]
    classes = prediction.argmax(dim=1)  # B C D H W -> B D H W
    return [((classes == c) & known, (truth == c) & known) for c in range(1, prediction.shape[1])]
