"""The losses of all targets as one number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ..geometry import parse_targets
from .inputs import check_keys, plain
from .loss_table import Loss, loss_faults, make_loss

_TOTAL = "total"


class MultiTaskLoss(nn.Module):
    """Weighted sum of every target's loss.

    After each call `terms` holds, for logging, every target's loss without its weight and the `total`, detached.

    Deep supervision: a prediction that is a list (full resolution first) is compared level by level with the label,
    sampled at each level's voxel centres (nearest). Nearest keeps classes whole, unknown voxels unknown and normals of
    unit length. The levels' losses are averaged with weights 1/2^i, of which the lowest is 0 (nnU-Net), unless given.

    Masks and `ignore_label` have been turned into unknown voxels before labels come here. A target that is unknown in
    the whole batch adds 0, and its gradient is 0.

    Args:
        targets: the `targets` table, whose `loss` and `weight` are used.
        deep_supervision_weights: factor of each level, full resolution first, used as they are.

    Raises:
        ValueError: for a loss that does not exist or does not fit its target, all at once.
    """

    def __init__(self, targets: Mapping[str, Any], deep_supervision_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.targets = parse_targets(targets)
        if _TOTAL in self.targets:
            raise ValueError(f"targets: '{_TOTAL}' is the name of the sum of all losses; choose another name")
        self.deep_supervision_weights = deep_supervision_weights
        faults = loss_faults(self.targets)
        if faults:
            raise ValueError("\n".join(faults))
        self.losses: dict[str, Loss] = {name: make_loss(target) for name, target in self.targets.items()}
        # Registered under no name of their own: a target may be called like an attribute of a module.
        self.loss_modules = nn.ModuleList(loss for loss in self.losses.values() if isinstance(loss, nn.Module))
        self.terms: dict[str, torch.Tensor] = {}

    def forward(self, predictions: Mapping[str, Any], labels: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute the total.

        Args:
            predictions: per target, logits B C D H W, or a list of them (deep supervision).
            labels: per target, B 1 D H W (labels) or B C D H W.

        Raises:
            ValueError: when a target has no prediction or no label, naming all keys, and for a number of levels other
                than that of the weights.
        """
        check_keys(self.targets, predictions, labels)
        terms = {name: self._term(name, predictions[name], labels[name]) for name in self.targets}
        total = torch.stack([self.targets[name].weight * term for name, term in terms.items()]).sum()
        self.terms = {name: term.detach() for name, term in terms.items()} | {_TOTAL: total.detach()}
        return total

    def _term(self, name: str, prediction: Any, label: torch.Tensor) -> torch.Tensor:
        """Loss of one target, averaged over the levels of its prediction."""
        levels = (
            [plain(level) for level in prediction] if isinstance(prediction, (list, tuple)) else [plain(prediction)]
        )
        truth = plain(label)
        weights = [1.0]
        if len(levels) > 1:
            weights = list(self.deep_supervision_weights or level_weights(len(levels)))
            truth = truth if truth.is_floating_point() else truth.float()
        if len(weights) != len(levels):
            raise ValueError(
                f"'{name}' has {len(levels)} levels of deep supervision, but deep_supervision_weights has "
                f"{len(weights)} entries: {weights}"
            )
        term = levels[0].new_zeros((), dtype=torch.float32)
        for i, (weight, level) in enumerate(zip(weights, levels, strict=True)):
            if weight == 0:
                # An empty sum keeps the level's head in the graph: distributed training waits for its gradient.
                term = term + level[:0].sum()
            else:
                at_level = F.interpolate(truth, size=level.shape[2:], mode="nearest-exact") if i else truth
                term = term + weight * self.losses[name](level, at_level)
        return term


def level_weights(n_levels: int) -> list[float]:
    """Weights of deep supervision, full resolution first: 1/2^i, the lowest of several 0, with sum 1 (nnU-Net)."""
    weights = [0.5**i for i in range(n_levels)]
    if n_levels > 1:
        weights[-1] = 0.0
    return [weight / sum(weights) for weight in weights]
