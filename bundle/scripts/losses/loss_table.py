"""Names of losses, which targets they fit, their options, and each kind's default."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..geometry import Activation, Kind, Target, did_you_mean, parse_targets
from ..landmarks import LearnedSigma
from .adaptive_wing import AdaptiveWingLoss
from .heatmaps import HeatmapLoss
from .label_loss import LabelLoss
from .masked_cosine import MaskedCosineLoss
from .masked_regression import MaskedRegressionLoss
from .phdnet import PHDNetLoss
from .regularisers import EikonalLoss, NormalConsistencyLoss
from .sigma_regression import SigmaRegressionLoss
from .soft_argmax import SoftArgmaxLoss

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class LossPart:
    """One of the losses of a target.

    Args:
        name: of the loss; `"loss"` for a callable of the user's own.
        loss: maps prediction and label to a number.
        weight: factor within the target.
        start_epoch: first epoch in which it counts, from 1.
        every_level: whether deep supervision compares it at the lower levels too; regularisers, which measure slopes,
            belong to full resolution.
        takes_points: whether, of landmarks, the loss wants voxels of the full resolution at every level, and as a third
            argument the number of these voxels.
    """

    name: str
    loss: Loss
    weight: float = 1.0
    start_epoch: int = 1
    every_level: bool = True
    takes_points: bool = False


def _is_label(target: Target) -> bool:
    return target.kind == Kind.LABEL


def _by_sigmoid(target: Target) -> bool:
    return _is_label(target) and (target.channels == 1 or target.activation == Activation.SIGMOID)


def _by_softmax(target: Target) -> bool:
    return _is_label(target) and not _by_sigmoid(target)


def _is_number(target: Target) -> bool:
    return not _is_label(target)


def _is_scalar(target: Target) -> bool:
    return target.kind == Kind.SCALAR


def _is_directional(target: Target) -> bool:
    return target.kind in (Kind.VECTOR, Kind.NORMAL)


def _is_points(target: Target) -> bool:
    return target.kind == Kind.POINTS


@dataclass(frozen=True)
class _Entry:
    build: Callable[..., nn.Module]  # of a target, the spacing, and options
    fits: Callable[[Target], bool]
    needs: str  # what `fits` asks for, in words
    options: Sequence[str] = ()
    of_points: Sequence[str] = ()  # further options where the target's kind is points
    is_regulariser: bool = False
    has_entropy: bool = False  # on which smoothing and class weights act


_SIGMOID_LABEL = "a label with 1 channel, or with activation 'sigmoid'"
_SOFTMAX_LABEL = "a label with at least 2 channels and no activation 'sigmoid'"
_NUMBERS = "kind scalar, vector, normal or points"
_DIRECTIONS = "kind normal or vector"


def _label_loss(**fixed: Any) -> Callable[..., nn.Module]:
    def build(target: Target, spacing: Sequence[float], **options: Any) -> nn.Module:
        weights = target.class_weights
        if isinstance(weights, str):
            raise ValueError(f"class_weights '{weights}' must be replaced by numbers, as MultiTaskLoss does")
        return LabelLoss(
            target.channels,
            independent=_by_sigmoid(target),
            label_smoothing=target.label_smoothing,
            class_weights=weights,
            **(fixed | options),
        )

    return build


_HEATMAP = ("sigma", "amplitude", "sigma_unit")
"""Options of losses that draw the truth of a target of kind points."""


def _regression(kind: str) -> Callable[..., nn.Module]:
    def build(target: Target, spacing: Sequence[float], **options: Any) -> nn.Module:
        loss = MaskedRegressionLoss(kind)
        return HeatmapLoss(loss, spacing=spacing, **options) if _is_points(target) else loss

    return build


def _adaptive_wing(target: Target, spacing: Sequence[float], **options: Any) -> nn.Module:
    drawn = {key: options.pop(key) for key in ("sigma", "sigma_unit") if key in options}
    amplitude = options.pop("amplitude", 100.0)
    return HeatmapLoss(AdaptiveWingLoss(amplitude, **options), spacing=spacing, amplitude=amplitude, **drawn)


def _sigma_regression(
    target: Target,
    spacing: Sequence[float],
    penalty: str = "product",
    penalty_weight: float | None = None,
    **options: Any,
) -> nn.Module:
    dims = options.pop("spatial_dims", 3)
    return SigmaRegressionLoss(LearnedSigma(target.channels, dims, **options), penalty, penalty_weight)


_BOTH = ("dice", "cross_entropy", "batch_dice")

_TABLE = {
    "dice_bce": _Entry(_label_loss(), _by_sigmoid, _SIGMOID_LABEL, _BOTH, has_entropy=True),
    "dice_ce": _Entry(_label_loss(), _by_softmax, _SOFTMAX_LABEL, _BOTH, has_entropy=True),
    "bce": _Entry(_label_loss(dice=0), _by_sigmoid, _SIGMOID_LABEL, has_entropy=True),
    "ce": _Entry(_label_loss(dice=0), _by_softmax, _SOFTMAX_LABEL, has_entropy=True),
    "dice": _Entry(_label_loss(cross_entropy=0), _is_label, "a label", ("batch_dice",)),
    "focal": _Entry(_label_loss(dice=0, focal_gamma=2.0), _is_label, "a label", ("focal_gamma",), has_entropy=True),
    "dice_focal": _Entry(_label_loss(focal_gamma=2.0), _is_label, "a label", (*_BOTH, "focal_gamma"), has_entropy=True),
    "smooth_l1": _Entry(_regression("smooth_l1"), _is_number, _NUMBERS, of_points=_HEATMAP),
    "l1": _Entry(_regression("l1"), _is_number, _NUMBERS, of_points=_HEATMAP),
    "mse": _Entry(_regression("mse"), _is_number, _NUMBERS, of_points=_HEATMAP),
    "masked_cosine": _Entry(
        lambda target, spacing, **options: MaskedCosineLoss(**options),
        _is_directional,
        _DIRECTIONS,
        ("sign_invariant",),
    ),
    "adaptive_wing": _Entry(
        _adaptive_wing,
        _is_points,
        "kind points",
        ("omega", "theta", "epsilon", "alpha", "map_weight", "map_threshold"),
        of_points=_HEATMAP,
    ),
    "soft_argmax": _Entry(
        lambda target, spacing, **options: SoftArgmaxLoss(**options),
        _is_points,
        "kind points",
        ("temperature", "window"),
    ),
    "sigma_regression": _Entry(
        _sigma_regression,
        _is_points,
        "kind points",
        ("penalty", "penalty_weight", "spatial_dims", "initial", "anisotropic", "gamma"),
    ),
    "phdnet": _Entry(
        lambda target, spacing, **options: PHDNetLoss(**options),
        _is_points,
        "kind points",
        (
            *("branch_scheme", "patch_size", "class_scheme", "class_sigma", "amplitude", "weigh_by_class"),
            *("log_transform", "clamp_distance", "displacement_weight"),
        ),
    ),
    "normal_consistency": _Entry(
        lambda target, spacing, **options: NormalConsistencyLoss(**options),
        _is_directional,
        _DIRECTIONS,
        ("sign_invariant",),
        is_regulariser=True,
    ),
    "eikonal": _Entry(
        lambda target, spacing, **options: EikonalLoss(spacing, **options),
        _is_scalar,
        "kind scalar",
        ("max_distance",),
        is_regulariser=True,
    ),
}

LOSS_NAMES = tuple(_TABLE)
"""Names that a target's `loss` may have."""

_DEFAULTS = {Kind.SCALAR: "smooth_l1", Kind.VECTOR: "l1", Kind.NORMAL: "masked_cosine", Kind.POINTS: "mse"}

_PART_KEYS = ("name", "weight", "start_epoch")


def default_loss(target: Target) -> str:
    """Name of the loss that a target has when none is set."""
    if _is_label(target):
        return "dice_bce" if _by_sigmoid(target) else "dice_ce"
    return _DEFAULTS[target.kind]


def make_losses(target: Target, spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> list[LossPart]:
    """Build a target's losses: those named, the callable given, or the kind's default.

    Args:
        target: a row of the table; its `loss` is a name, a dictionary `{"name": ..., "weight": 1, "start_epoch": 1,
            option: value, ...}`, a callable, or a list of these.
        spacing: physical size of a voxel along z, y, x, for losses that measure slopes.

    Raises:
        ValueError: for a loss that does not exist or does not fit the target.
    """
    faults = _faults(target)
    if faults:
        raise ValueError("\n".join(faults))
    return [_make_part(part, target, spacing) for part in _parts(target)]


def landmark_loss(loss: Any = "mse", **options: Any) -> Any:
    """A target's `loss` of kind points, with those of some options that it takes.

    Args:
        loss: as in the `targets` table: a name, a dictionary, a callable, or a list of these.
        options: such as `sigma` and `amplitude`; what a loss has itself stays.

    Returns:
        the same with the options filled in.
    """
    if isinstance(loss, list | tuple):
        return [landmark_loss(one, **options) for one in loss]
    row = {"name": loss} if isinstance(loss, str) else loss
    entry = _TABLE.get(row.get("name", "")) if isinstance(row, Mapping) else None
    if entry is None:
        return loss
    taken = {key: value for key, value in options.items() if key in (*entry.options, *entry.of_points)}
    return taken | dict(row)


def loss_faults(targets: Mapping[str, Any]) -> list[str]:
    """List, in words, every loss of a `targets` table that does not exist or does not fit."""
    return [fault for target in parse_targets(targets).values() for fault in _faults(target)]


def _parts(target: Target) -> list[Any]:
    loss = default_loss(target) if target.loss is None else target.loss
    return list(loss) if isinstance(loss, (list, tuple)) else [loss]


def _make_part(part: Any, target: Target, spacing: Sequence[float]) -> LossPart:
    if callable(part):
        return LossPart("loss", part)
    row = dict(part) if isinstance(part, Mapping) else {"name": part}
    entry = _TABLE[row["name"]]
    options = {key: value for key, value in row.items() if key not in _PART_KEYS}
    try:
        built = entry.build(target, spacing, **options)
    except TypeError as error:  # an option of another type, of a loss that does not look
        raise ValueError(f"targets: {target.name}: loss '{row['name']}' with {options}: {error}") from error
    return LossPart(
        row["name"],
        built,
        row.get("weight", 1.0),
        row.get("start_epoch", 1),
        every_level=not entry.is_regulariser,
        takes_points=_is_points(target),
    )


def _faults(target: Target) -> list[str]:
    """What is wrong with a target's losses; empty when nothing is."""
    where = f"targets: {target.name}:"
    if target.kind == Kind.EMBEDDING:
        return []  # parse_targets allows none
    parts = _parts(target)
    if not parts:
        return [f"{where} 'loss' is an empty list; leave it out for the default, {default_loss(target)}"]
    faults = [f"{where} {fault}" for part in parts for fault in _part_faults(part, target)]
    if faults:
        return faults
    options = {"label_smoothing": target.label_smoothing, "class_weights": target.class_weights}
    given = " and ".join(f"'{option}'" for option, value in options.items() if value not in (0.0, None))
    if given and all(callable(part) for part in parts):
        return [f"{where} set {given} in the loss that you give, not here"]
    names = [part["name"] if isinstance(part, Mapping) else part for part in parts if not callable(part)]
    if given and not any(_TABLE[name].has_entropy for name in names):
        return [f"{where} {given} act on the cross-entropy, which loss '{', '.join(names)}' does not have"]
    if target.label_smoothing and any("focal" in name for name in names):
        return [f"{where} 'label_smoothing' does not go with a focal loss, which trusts hard labels"]
    if names and all(_TABLE[name].is_regulariser for name in names):
        return [f"{where} loss '{', '.join(names)}' does not look at the truth; give one beside it that does"]
    return []


def _part_faults(part: Any, target: Target) -> list[str]:
    if callable(part):
        return []
    row = {"name": part} if isinstance(part, str) else part
    if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
        forms = 'a name, {"name": ...}, a callable (prediction, label) -> scalar, or a list of these'
        return [f"'loss' must be {forms}; got {part!r}"]
    name = row["name"]
    fitting = [known for known, entry in _TABLE.items() if entry.fits(target)]
    advice = f"{did_you_mean(name, fitting)}; losses that fit: {', '.join(fitting)}"
    if name not in _TABLE:
        return [f"unknown loss '{name}'{advice}"]
    entry = _TABLE[name]
    if name not in fitting:
        given = f"a {target.kind} with {target.channels} channel{'s' if target.channels > 1 else ''}"
        return [f"loss '{name}' needs {entry.needs}, but this is {given}{advice}"]
    known = [*_PART_KEYS, *entry.options, *(entry.of_points if _is_points(target) else ())]
    faults = [
        f"loss '{name}' takes no option '{key}'{did_you_mean(key, known)}; its options: {', '.join(known[1:])}"
        for key in row
        if key not in known
    ]
    weight, start = row.get("weight", 1.0), row.get("start_epoch", 1)
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight < 0:
        faults.append(f"loss '{name}': 'weight' must be a number >= 0, got {weight!r}")
    if isinstance(start, bool) or not isinstance(start, int) or start < 1:
        faults.append(f"loss '{name}': 'start_epoch' must be a whole number of at least 1, got {start!r}")
    return faults
