"""Angle between predicted and true directions, where there is a true one."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from .inputs import check_same_shape, full_precision

_SHORTEST = 1e-4  # prediction's length below which it is not stretched to 1: the gradient grows with 1 / length


class MaskedCosineLoss(nn.Module):
    """One minus the cosine between prediction and target, averaged over the voxels that have a direction.

    A voxel counts when its target is finite and not zero (and the mask is not zero there). Lengths do not matter, on
    either side. Without any voxel that counts the loss is 0, and so is its gradient.

    Args:
        sign_invariant: whether opposite directions are equal: one minus the cosine's absolute value.
    """

    def __init__(self, sign_invariant: bool = False) -> None:
        super().__init__()
        self.sign_invariant = sign_invariant

    def forward(self, prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Compute the loss.

        Args:
            prediction: vectors, B C D H W.
            target: vectors, B C D H W; NaN or zero vectors do not count.
            mask: B 1 D H W; zeros do not count.

        Raises:
            ValueError: when prediction and target differ in shape.
        """
        check_same_shape(prediction, target)
        counts = torch.isfinite(target).all(dim=1) & (target != 0).any(dim=1)  # B C D H W -> B D H W
        if mask is not None:
            counts = counts & (mask[:, 0] != 0)
        # only the voxels that count: they are few in a sparse label, and NaN elsewhere must reach no gradient
        predicted = full_precision(prediction).movedim(1, -1)[counts]  # B C D H W -> B D H W C -> N C
        truth = target.movedim(1, -1)[counts].to(predicted.dtype)  # likewise
        if len(truth) == 0:
            return predicted.sum()  # 0, with a gradient of 0
        cosine = F.cosine_similarity(predicted, truth, dim=1, eps=_SHORTEST)
        return (1 - (cosine.abs() if self.sign_invariant else cosine)).mean()
