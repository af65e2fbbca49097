"""Overlap and cross-entropy for labels of which a part may be unknown."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.losses import DiceLoss, FocalLoss
from monai.networks.utils import one_hot
from torch import nn
from torch.nn import functional as F

from ..geometry import UNKNOWN_LABEL
from .inputs import check_same_shape, full_precision

_SMOOTH = 1e-5


class LabelLoss(nn.Module):
    """Soft Dice plus cross-entropy of logits against labels, over the known voxels only.

    One channel: sigmoid, every label above 0 is foreground. C > 1 channels: softmax over classes 0..C-1, of which class
    0 is the background and left out of the Dice; or, with `independent`, each class by a sigmoid of its own against all
    others. A label of C channels has a foreground in each, as with one channel. Negative labels are unknown: they are
    left out after the activation (masking logits before it would turn them into probabilities of 0.5). A patch without
    known voxels adds nothing to either mean.

    Source: Dice as in `monai.losses.DiceLoss`; the sum of both as in nnU-Net.

    Args:
        channels: channels of the logits.
        dice: factor of the Dice loss; 0 leaves it out.
        cross_entropy: factor of the cross-entropy; 0 leaves it out.
        independent: whether each of several classes is decided by itself.
        label_smoothing: share of the truth that the cross-entropy spreads evenly over all classes (one channel:
            foreground and background), 0 <= s < 1.
        class_weights: factor of each class in the cross-entropy, whose mean is weighted. With sigmoids: factor of each
            channel's foreground, and the mean is not weighted (`pos_weight` of torch).
        batch_dice: whether the Dice is that of the whole batch instead of the mean over its patches.
        focal_gamma: exponent with which the cross-entropy turns from voxels that are right already to those that are
            not (Lin et al. 2017); `None`: it does not. Labels are hard then, without smoothing.

    Raises:
        ValueError: for weights of another length, and when both factors are 0.
    """

    class_weights: torch.Tensor | None

    def __init__(
        self,
        channels: int,
        *,
        dice: float = 1.0,
        cross_entropy: float = 1.0,
        independent: bool = False,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        batch_dice: bool = False,
        focal_gamma: float | None = None,
    ) -> None:
        super().__init__()
        if class_weights is not None and len(class_weights) != channels:
            raise ValueError(f"class_weights must hold {channels} numbers, one per channel; got {list(class_weights)}")
        if min(dice, cross_entropy) < 0 or max(dice, cross_entropy) == 0:
            raise ValueError(
                f"factors must not be negative nor both 0; got dice = {dice}, cross_entropy = {cross_entropy}"
            )
        if focal_gamma is not None and (focal_gamma < 0 or label_smoothing):
            raise ValueError(
                "focal_gamma must not be negative, and needs label_smoothing = 0; "
                f"got focal_gamma = {focal_gamma}, label_smoothing = {label_smoothing}"
            )
        self.channels = channels
        self.dice = dice
        self.cross_entropy = cross_entropy
        self.sigmoid = independent or channels == 1
        self.label_smoothing = label_smoothing
        self.batch_dice = batch_dice
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)
        self._focal: FocalLoss | None = None
        if focal_gamma is not None:
            self._focal = FocalLoss(
                gamma=focal_gamma, alpha=class_weights, use_softmax=not self.sigmoid, reduction="none"
            )
        self._overlap = DiceLoss(smooth_nr=_SMOOTH, smooth_dr=_SMOOTH, batch=batch_dice, reduction="none")

    def forward(self, prediction: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Compute the loss.

        Args:
            prediction: logits, B C D H W.
            label: B 1 D H W, or with sigmoids B C D H W; negative where unknown.

        Raises:
            ValueError: when shapes do not fit, and for a label that is no class.
        """
        by_channel = label.shape[1] > 1
        check_same_shape(prediction if by_channel else prediction[:, :1], label)
        if prediction.shape[1] != self.channels:
            raise ValueError(f"expected logits of {self.channels} channels, got shape {list(prediction.shape)}")
        logits = full_precision(prediction)
        if by_channel and not self.sigmoid:
            raise ValueError("a label with a foreground in each channel needs a target with activation 'sigmoid'")
        known = label >= 0  # B 1 D H W or B C D H W
        label = torch.where(known, label, UNKNOWN_LABEL)
        truth = self._truth(label).to(logits.dtype)  # B C D H W
        loss = logits.new_zeros(())
        if self.dice:
            loss = loss + self.dice * self._dice_loss(logits, truth, known)
        if self.cross_entropy:
            if self._focal is not None:
                entropy = self._focal_entropy(logits, truth, known)
            elif self.sigmoid:
                entropy = self._binary_entropy(logits, truth, known)
            else:
                entropy = self._entropy(logits, label)
            loss = loss + self.cross_entropy * entropy
        return loss

    def _truth(self, label: torch.Tensor) -> torch.Tensor:
        """B 1 D H W or B C D H W -> B C D H W: one channel per class; unknown voxels count as 0, to be masked."""
        if self.channels == 1 or label.shape[1] > 1:
            return label > 0
        highest = int(label.max())
        if highest >= self.channels:
            raise ValueError(
                f"the label holds class {highest}, but the target has {self.channels} channels: classes 0 to "
                f"{self.channels - 1}; give it more channels, or set 'ignore_label'"
            )
        return one_hot(label.clamp(min=0), num_classes=self.channels)

    def _dice_loss(self, logits: torch.Tensor, truth: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        probability = torch.sigmoid(logits) if self.sigmoid else torch.softmax(logits, dim=1)
        if self.channels > 1 and known.shape[1] == 1:  # without the background
            probability, truth = probability[:, 1:], truth[:, 1:]
        losses = self._overlap(probability * known, truth * known)
        if self.batch_dice:
            return losses.mean()
        per_patch = losses.flatten(1).mean(dim=1)  # B C 1 1 1 -> B; 0 for a patch without known voxels
        return per_patch.sum() / known.flatten(1).any(dim=1).sum().clamp(min=1)

    def _binary_entropy(self, logits: torch.Tensor, truth: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        if self.label_smoothing:
            truth = truth * (1 - self.label_smoothing) + self.label_smoothing / 2
        weights = self.class_weights
        if weights is not None:
            weights = weights.to(logits).view(-1, *[1] * (logits.ndim - 2))  # C -> C 1 1 1
        losses = F.binary_cross_entropy_with_logits(logits, truth, pos_weight=weights, reduction="none")
        return (losses * known).sum() / known.expand_as(losses).sum().clamp(min=1)

    def _focal_entropy(self, logits: torch.Tensor, truth: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """Means as in the two others: over channels and voxels with sigmoids, else over voxels by their weight."""
        losses = self._focal(logits, truth) * known  # type: ignore[misc]  # B C D H W
        if self.sigmoid:
            return losses.sum() / known.expand_as(losses).sum().clamp(min=1)
        of_voxels = truth * known  # B C D H W
        if self.class_weights is not None:
            of_voxels = of_voxels * self.class_weights.to(logits).view(-1, *[1] * (logits.ndim - 2))  # C -> C 1 1 1
        count = of_voxels.sum()
        return losses.sum() / torch.where(count > 0, count, 1)

    def _entropy(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        index = label[:, 0].long()  # B 1 D H W -> B D H W
        known = index != UNKNOWN_LABEL
        weights = None if self.class_weights is None else self.class_weights.to(logits)
        total = F.cross_entropy(
            logits,
            index,
            weight=weights,
            ignore_index=UNKNOWN_LABEL,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )
        # torch's own mean is 0 / 0 where all is unknown.
        count = known.sum() if weights is None else weights[index[known]].sum()
        return total / torch.where(count > 0, count, 1)
