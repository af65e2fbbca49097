"""Names of losses, which targets they fit, and each kind's default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..geometry import Activation, Kind, Target, did_you_mean, parse_targets
from .label_loss import LabelLoss
from .masked_cosine import MaskedCosineLoss
from .masked_regression import MaskedRegressionLoss

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _is_label(target: Target) -> bool:
    return target.kind == Kind.LABEL


def _by_sigmoid(target: Target) -> bool:
    return _is_label(target) and (target.channels == 1 or target.activation == Activation.SIGMOID)


def _by_softmax(target: Target) -> bool:
    return _is_label(target) and not _by_sigmoid(target)


def _is_number(target: Target) -> bool:
    return not _is_label(target)


def _is_directional(target: Target) -> bool:
    return target.kind in (Kind.VECTOR, Kind.NORMAL)


@dataclass(frozen=True)
class _Entry:
    build: Callable[[Target], nn.Module]
    fits: Callable[[Target], bool]
    needs: str  # what `fits` asks for, in words


_SIGMOID_LABEL = "a label with 1 channel, or with activation 'sigmoid'"
_SOFTMAX_LABEL = "a label with at least 2 channels and no activation 'sigmoid'"
_NUMBERS = "kind scalar, vector, normal or points"


def _label_loss(dice: float, cross_entropy: float) -> Callable[[Target], nn.Module]:
    def build(target: Target) -> nn.Module:
        return LabelLoss(
            target.channels,
            dice=dice,
            cross_entropy=cross_entropy,
            independent=_by_sigmoid(target),
            label_smoothing=target.label_smoothing,
            class_weights=target.class_weights,
        )

    return build


_TABLE = {
    "dice_bce": _Entry(_label_loss(1, 1), _by_sigmoid, _SIGMOID_LABEL),
    "dice_ce": _Entry(_label_loss(1, 1), _by_softmax, _SOFTMAX_LABEL),
    "bce": _Entry(_label_loss(0, 1), _by_sigmoid, _SIGMOID_LABEL),
    "ce": _Entry(_label_loss(0, 1), _by_softmax, _SOFTMAX_LABEL),
    "dice": _Entry(_label_loss(1, 0), _is_label, "a label"),
    "smooth_l1": _Entry(lambda _: MaskedRegressionLoss("smooth_l1"), _is_number, _NUMBERS),
    "l1": _Entry(lambda _: MaskedRegressionLoss("l1"), _is_number, _NUMBERS),
    "mse": _Entry(lambda _: MaskedRegressionLoss("mse"), _is_number, _NUMBERS),
    "masked_cosine": _Entry(lambda _: MaskedCosineLoss(), _is_directional, "kind normal or vector"),
}

LOSS_NAMES = tuple(_TABLE)
"""Names that a target's `loss` may have."""

_DEFAULTS = {Kind.SCALAR: "smooth_l1", Kind.VECTOR: "l1", Kind.NORMAL: "masked_cosine", Kind.POINTS: "mse"}


def default_loss(target: Target) -> str:
    """Name of the loss that a target has when none is set."""
    if _is_label(target):
        return "dice_bce" if _by_sigmoid(target) else "dice_ce"
    return _DEFAULTS[target.kind]


def make_loss(target: Target) -> Loss:
    """Build a target's loss: the one named, the callable given, or the kind's default.

    Raises:
        ValueError: for a loss that does not exist or does not fit the target.
    """
    fault = _fault(target)
    if fault:
        raise ValueError(fault)
    if callable(target.loss):
        return target.loss
    return _TABLE[target.loss or default_loss(target)].build(target)


def loss_faults(targets: Mapping[str, Any]) -> list[str]:
    """List, in words, every loss of a `targets` table that does not exist or does not fit."""
    faults = (_fault(target) for target in parse_targets(targets).values())
    return [fault for fault in faults if fault]


def _fault(target: Target) -> str:
    """What is wrong with a target's loss; empty when nothing is."""
    where = f"targets: {target.name}:"
    options = {"label_smoothing": target.label_smoothing, "class_weights": target.class_weights}
    entropy_options = " and ".join(f"'{option}'" for option, value in options.items() if value not in (0.0, None))
    name = default_loss(target) if target.loss is None else target.loss
    if callable(name):
        return f"{where} set {entropy_options} in the loss that you give, not here" if entropy_options else ""
    if not isinstance(name, str):
        return f"{where} 'loss' must be a name or a callable (prediction, label) -> scalar, got {name!r}"
    fitting = [known for known, entry in _TABLE.items() if entry.fits(target)]
    advice = f"{did_you_mean(name, fitting)}; losses that fit: {', '.join(fitting)}"
    if name not in _TABLE:
        return f"{where} unknown loss '{name}'{advice}"
    if name not in fitting:
        given = f"a {target.kind} with {target.channels} channel{'s' if target.channels > 1 else ''}"
        return f"{where} loss '{name}' needs {_TABLE[name].needs}, but this is {given}{advice}"
    if entropy_options and name == "dice":
        return f"{where} {entropy_options} act on the cross-entropy, which loss 'dice' does not have"
    return ""
