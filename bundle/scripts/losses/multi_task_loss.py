"""The losses of all targets as one number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ..geometry import UNKNOWN_LABEL, Activation, Kind, Target, parse_targets
from ..geometry.targets import require_truths
from ..landmarks import scale_points
from .balance import FIXED, make_balance
from .class_weights import BALANCED, balanced_weights
from .inputs import check_keys, plain
from .loss_table import LossPart, loss_faults, make_losses

_TOTAL = "total"


class MultiTaskLoss(nn.Module):
    """Weighted sum of every target's losses.

    After each call `terms` holds, for logging, every target's loss without its weight and the `total`, detached; where
    a target has several losses, also each of them as `<target>_<loss>`. `factors` holds what the balance makes of each
    target, beside its weight.

    Deep supervision: a prediction that is a list (full resolution first) is compared level by level with the label,
    sampled at each level's voxel centres (nearest). Nearest keeps classes whole, unknown voxels unknown and normals of
    unit length. Landmarks (kind points) stay points: each level gets heatmaps of its own. The levels' losses are
    averaged with weights 1/2^i, of which the lowest is 0 (nnU-Net), unless given.

    Masks and `ignore_label` have been turned into unknown voxels before labels come here. A target that is unknown in
    the whole batch adds 0, and its gradient is 0; so does a loss before its `start_epoch`.

    Args:
        targets: the `targets` table, whose `loss`, `weight`, `class_weights` and `loss_only_on_label` are used.
        deep_supervision_weights: factor of each level, full resolution first, used as they are.
        deep_supervision_levels: so many levels count, full resolution first, with weights 1/2^i of sum 1 (LaNNU-Net).
        output_stride: voxels of the image to one of the predictions, of points alone (`networks.CoarseOutput`): one
            number per axis; `None`: the same voxels.
        balance: how targets are weighed against each other beside their `weight`: `"fixed"`, `"uncertainty"` or
            `"gradient_norm"`; see `scripts.losses.balance`. The second has parameters, which the optimiser needs.
        shared_parameters: for `"gradient_norm"`, those of the last layer that all targets share.
        spacing: physical size of a voxel along z, y, x, for losses that measure slopes.
        class_voxels: number of voxels of each class, for targets whose `class_weights` are `"balanced"`.

    Raises:
        ValueError: for a loss that does not exist or does not fit its target, all at once; for an unknown balance; for
            balanced class weights without the voxels of each class; for a target that has no truth.
    """

    def __init__(
        self,
        targets: Mapping[str, Any],
        deep_supervision_weights: Sequence[float] | None = None,
        *,
        deep_supervision_levels: int | None = None,
        output_stride: Sequence[int] | None = None,
        balance: str = FIXED,
        shared_parameters: Sequence[nn.Parameter] | None = None,
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        class_voxels: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        self.targets = parse_targets(targets)
        if _TOTAL in self.targets:
            raise ValueError(f"targets: '{_TOTAL}' is the name of the sum of all losses; choose another name")
        if deep_supervision_levels is not None and (deep_supervision_levels < 1 or deep_supervision_weights):
            raise ValueError(
                "deep_supervision_levels must be at least 1, and stand alone; got "
                f"deep_supervision_levels = {deep_supervision_levels}, "
                f"deep_supervision_weights = {deep_supervision_weights}"
            )
        self.deep_supervision_weights = deep_supervision_weights
        self.deep_supervision_levels = deep_supervision_levels
        self.output_stride = output_stride
        require_truths(self.targets)
        faults = loss_faults(self.targets)
        if faults:
            raise ValueError("\n".join(faults))
        self.losses: dict[str, list[LossPart]] = {
            name: make_losses(_with_weights(target, class_voxels or {}), spacing)
            for name, target in self.targets.items()
        }
        # Registered under no name of their own: a target may be called like an attribute of a module.
        parts = [part.loss for of_target in self.losses.values() for part in of_target]
        self.loss_modules = nn.ModuleList(loss for loss in parts if isinstance(loss, nn.Module))
        self.balance = make_balance(balance, self.targets, shared_parameters)
        self.epoch = 1
        self.terms: dict[str, torch.Tensor] = {}

    @property
    def factors(self) -> dict[str, float]:
        """Present factor of each target beside its weight; empty where the balance is fixed."""
        return self.balance.factors

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch it is, counted from 1, for losses that begin later."""
        self.epoch = epoch

    def forward(self, predictions: Mapping[str, Any], labels: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute the total.

        Args:
            predictions: per target, logits B C D H W, or a list of them (deep supervision).
            labels: per target, B 1 D H W (labels) or B C D H W; of kind points also B C 3, indices of the voxels.

        Raises:
            ValueError: when a target has no prediction or no label, naming all keys, and for a number of levels other
                than that of the weights.
        """
        check_keys(self.targets, predictions, labels)
        terms: dict[str, torch.Tensor] = {}
        detailed: dict[str, torch.Tensor] = {}
        known: dict[str, torch.Tensor] = {}
        for name, target in self.targets.items():
            truth = plain(labels[name])
            known[name] = _is_known(truth, target)
            parts = self._parts(name, predictions[name], _on_label(truth, target))
            terms[name] = torch.stack(
                [part.weight * loss for part, loss in zip(self.losses[name], parts, strict=True)]
            ).sum()
            if len(parts) > 1:
                detailed |= {f"{name}_{part.name}": loss for part, loss in zip(self.losses[name], parts, strict=True)}
        total = self.balance({name: self.targets[name].weight * term for name, term in terms.items()}, known)
        self.terms = {name: term.detach() for name, term in (terms | detailed | {_TOTAL: total}).items()}
        return total

    def _parts(self, name: str, prediction: Any, truth: torch.Tensor) -> list[torch.Tensor]:
        """Losses of one target, each averaged over the levels of its prediction."""
        levels = (
            [plain(level) for level in prediction] if isinstance(prediction, (list, tuple)) else [plain(prediction)]
        )
        weights = [1.0]
        if len(levels) > 1:
            weights = list(self.deep_supervision_weights or level_weights(len(levels), self.deep_supervision_levels))
        if len(weights) != len(levels):
            raise ValueError(
                f"'{name}' has {len(levels)} levels of deep supervision, but deep_supervision_weights has "
                f"{len(weights)} entries: {weights}"
            )
        full_shape: Sequence[int] = levels[0].shape[2:]
        is_points = self.targets[name].kind is Kind.POINTS and truth.ndim == 3
        if is_points and self.output_stride is not None:
            full_shape = [n * step for n, step in zip(full_shape, self.output_stride, strict=True)]
        truths = [
            truth if level.shape[2:] == torch.Size(full_shape) else _at_level(truth, level, full_shape)
            for level in levels
        ]
        # An empty sum keeps every head in the graph: distributed training waits for its gradient.
        nothing = torch.stack([level[:0].float().sum() for level in levels]).sum()
        losses = []
        for part in self.losses[name]:
            loss = nothing
            if self.epoch >= part.start_epoch:
                used = zip(weights, levels, truths, strict=True) if part.every_level else [(1.0, levels[0], truth)]
                for weight, level, at_level in used:
                    if weight and is_points and part.takes_points:
                        loss = loss + weight * part.loss(level, truth, full_shape)  # type: ignore[call-arg]
                    elif weight:
                        loss = loss + weight * part.loss(level, at_level)
            losses.append(loss)
        return losses


def _with_weights(target: Target, class_voxels: Mapping[str, Sequence[int]]) -> Target:
    """The target with numbers in place of `"balanced"`."""
    if target.class_weights != BALANCED:
        return target
    if target.name not in class_voxels:
        raise ValueError(
            f"targets: {target.name}: class_weights '{BALANCED}' needs the number of voxels of each class, which "
            f"class_voxels does not hold; it holds {', '.join(class_voxels) or 'nothing'}"
        )
    independent = target.channels == 1 or target.activation == Activation.SIGMOID
    weights = balanced_weights(class_voxels[target.name], independent=independent)
    return replace(target, class_weights=tuple(weights))


def _on_label(truth: torch.Tensor, target: Target) -> torch.Tensor:
    """The truth with everything that is not labelled turned into unknown, where the target asks for it."""
    if not target.loss_only_on_label:
        return truth
    unknown = UNKNOWN_LABEL if target.kind is Kind.LABEL else torch.nan
    return torch.where((truth != 0).any(dim=1, keepdim=True), truth, unknown)


def _is_known(truth: torch.Tensor, target: Target) -> torch.Tensor:
    """Whether a batch holds any truth for a target, as a boolean tensor."""
    return (truth >= 0).any() if target.kind is Kind.LABEL else torch.isfinite(truth).any()


def _at_level(truth: torch.Tensor, level: torch.Tensor, full_shape: Sequence[int]) -> torch.Tensor:
    """The truth at the voxel centres of a lower level of the decoder, B C D H W; points in voxels of that level."""
    if truth.ndim == 3:
        return scale_points(truth, full_shape, level.shape[2:])
    values = truth if truth.is_floating_point() else truth.float()
    return F.interpolate(values, size=level.shape[2:], mode="nearest-exact")


def level_weights(n_levels: int, n_counted: int | None = None) -> list[float]:
    """Weights of deep supervision, full resolution first: 1/2^i with sum 1.

    Args:
        n_levels: of the network.
        n_counted: so many count, the others are 0; `None`: all but the lowest of several (nnU-Net).
    """
    counted = max(1, n_levels - 1) if n_counted is None else n_counted
    weights = [0.5**i if i < counted else 0.0 for i in range(n_levels)]
    return [weight / sum(weights) for weight in weights]
