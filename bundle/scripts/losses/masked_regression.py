"""Distance between predicted and true numbers, where the true one is known."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ..geometry import did_you_mean
from .inputs import check_same_shape, full_precision, mean_where

_DISTANCES = {"smooth_l1": F.smooth_l1_loss, "l1": F.l1_loss, "mse": F.mse_loss}


class MaskedRegressionLoss(nn.Module):
    """Smooth L1, L1 or squared distance, averaged over the known numbers.

    A number counts when its target is finite (and the mask is not zero there). Without any that counts the loss is 0,
    and so is its gradient.

    Args:
        kind: `"smooth_l1"` (squared below a distance of 1, halved; linear above), `"l1"` or `"mse"`.

    Raises:
        ValueError: for another kind.
    """

    def __init__(self, kind: str = "smooth_l1") -> None:
        super().__init__()
        if kind not in _DISTANCES:
            raise ValueError(
                f"kind must be one of {', '.join(_DISTANCES)}; got {kind!r}{did_you_mean(kind, _DISTANCES)}"
            )
        self.kind = kind

    def forward(self, prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Compute the loss.

        Args:
            prediction: B C D H W.
            target: B C D H W; NaN does not count.
            mask: B 1 D H W; zeros do not count.

        Raises:
            ValueError: when prediction and target differ in shape.
        """
        check_same_shape(prediction, target)
        counts = torch.isfinite(target)
        if mask is not None:
            counts = counts & (mask != 0)  # B 1 D H W -> B C D H W
        # NaN is replaced before any arithmetic: its gradient is NaN even where the factor is 0.
        truth = torch.nan_to_num(target, posinf=0.0, neginf=0.0)
        return mean_where(_DISTANCES[self.kind](full_precision(prediction), truth, reduction="none"), counts)
