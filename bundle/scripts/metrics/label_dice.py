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
    the background (class 0). Labels of C channels: each channel is a foreground of its own, as with one channel;
    `dice_channel0` ... and `dice`, their mean.

    Args:
        channels: channels of the prediction.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels
        super().__init__()

    def reset(self) -> None:
        self._intersection = torch.zeros(self.channels, dtype=torch.float64)
        self._volume = torch.zeros_like(self._intersection)
        self._by_channel = False

    def update(self, prediction: torch.Tensor, label: torch.Tensor) -> None:
        self._by_channel |= label.shape[1] > 1
        for i, (predicted, true, _) in enumerate(foregrounds(prediction, label)):
            self._intersection[i] += int((predicted & true).sum())
            self._volume[i] += int(predicted.sum()) + int(true.sum())

    def merge(self, other: Self) -> None:
        self._intersection += other._intersection
        self._volume += other._volume
        self._by_channel |= other._by_channel

    def compute(self) -> dict[str, float]:
        scores = [ratio(2 * a, b) for a, b in zip(self._intersection.tolist(), self._volume.tolist(), strict=True)]
        if self.channels == 1:
            return {"dice": scores[0]}
        names = [f"channel{i}" if self._by_channel else f"class{i + 1}" for i in range(self.channels)]
        of_each = dict(zip(names, scores, strict=True))
        if not self._by_channel:
            del of_each[f"class{self.channels}"]  # the background takes no place
        occurring = [score for score in of_each.values() if score == score]
        return {"dice": ratio(sum(occurring), len(occurring))} | {
            f"dice_{name}": score for name, score in of_each.items()
        }


def foregrounds(prediction: torch.Tensor, label: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Predicted and true foreground of each class or channel, and where the truth is known.

    Args:
        prediction: probabilities, B C D H W.
        label: B 1 D H W, or B C D H W with a foreground in each channel; negative where unknown.

    Returns:
        booleans B D H W; unknown voxels are in neither foreground.

    Raises:
        ValueError: when the shapes do not fit.
    """
    if prediction.shape[1] == 1 or label.shape[1] > 1:
        check_same_shape(prediction, label)
        is_known = label >= 0
        parts = ((prediction > 0.5) & is_known, label > 0, is_known)
        return list(zip(*(part.unbind(dim=1) for part in parts), strict=True))  # B C D H W -> C times B D H W
    check_same_shape(prediction[:, :1], label)
    truth = label[:, 0]  # B 1 D H W -> B D H W
    known = truth >= 0
    classes = prediction.argmax(dim=1)  # B C D H W -> B D H W
    return [((classes == c) & known, truth == c, known) for c in range(1, prediction.shape[1])]
