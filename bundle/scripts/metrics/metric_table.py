"""Names of metrics, which kinds they fit, and each kind's defaults."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ..geometry import Kind, Target, did_you_mean, parse_targets
from ..geometry.peaks import peak_points, soft_argmax
from .base import Metric
from .calibration_error import CalibrationError
from .hausdorff95 import HausdorffDistance95
from .label_dice import LabelDice
from .label_iou import LabelIoU
from .number_errors import R2, MeanAbsoluteError
from .radial_error import MeanRadialError
from .surface_dice import SurfaceDice
from .surface_distance import SurfaceDistance
from .vector_errors import AngularError, EndPointError

_LABEL = (Kind.LABEL,)
_NUMBERS = (Kind.SCALAR, Kind.VECTOR, Kind.NORMAL)
_DIRECTIONS = (Kind.VECTOR, Kind.NORMAL)
_POINTS = (Kind.POINTS,)


@dataclass(frozen=True)
class _Entry:
    build: Callable[[Target, Sequence[float], float | None], Metric]  # target, spacing, number behind the name
    kinds: tuple[Kind, ...]
    number: str = ""  # what a number behind the name means, where it takes one


def _decoding(target: Target) -> Callable[[torch.Tensor], torch.Tensor]:
    """How heatmaps are read: as the target's losses teach it, by the mean place where no other one is taught."""
    given = target.loss if isinstance(target.loss, list | tuple) else [target.loss]
    rows: list[Any] = [{"name": loss} if isinstance(loss, str) else loss for loss in given]
    if not all(isinstance(row, Mapping) and row.get("name") == "soft_argmax" for row in rows):
        return peak_points
    options = {key: row[key] for row in rows for key in ("temperature", "window") if key in row}
    return partial(soft_argmax, **options)


_TABLE = {
    "dice": _Entry(lambda target, *_: LabelDice(target.channels), _LABEL),
    "iou": _Entry(lambda target, *_: LabelIoU(target.channels), _LABEL),
    "surface_distance": _Entry(lambda _, spacing, __: SurfaceDistance(spacing), _LABEL),
    "hausdorff95": _Entry(lambda _, spacing, __: HausdorffDistance95(spacing), _LABEL),
    "surface_dice": _Entry(
        lambda _, spacing, tolerance: SurfaceDice(spacing, tolerance),
        _LABEL,
        number="the tolerance, a length in the unit of the spacing",
    ),
    "ece": _Entry(lambda *_: CalibrationError(), _LABEL),
    "mae": _Entry(lambda *_: MeanAbsoluteError(), _NUMBERS),
    "r2": _Entry(lambda *_: R2(), _NUMBERS),
    "epe": _Entry(lambda *_: EndPointError(), _DIRECTIONS),
    "angle": _Entry(lambda *_: AngularError(), _DIRECTIONS),
    "mre": _Entry(
        lambda target, spacing, radius: MeanRadialError([] if radius is None else [radius], spacing, _decoding(target)),
        _POINTS,
        number="a radius, a length in the unit of the spacing",
    ),
}

METRIC_NAMES = tuple(_TABLE)
"""Names that a target's `metric` may hold; `surface_dice@2.5` gives `surface_dice` its tolerance."""

_DEFAULTS: dict[Kind, tuple[str, ...]] = {
    Kind.LABEL: ("dice", "surface_distance"),
    Kind.SCALAR: ("mae", "r2"),
    Kind.VECTOR: ("epe",),
    Kind.NORMAL: ("angle",),
    Kind.POINTS: ("mre",),
}


def default_metrics(target: Target) -> tuple[str, ...]:
    """Names of the metrics that a target has when none are set."""
    if target.kind == Kind.LABEL and target.channels > 1:
        return ("dice",)
    return _DEFAULTS[target.kind]


def metric_faults(targets: Mapping[str, Any]) -> list[str]:
    """List, in words, every metric of a `targets` table that does not exist or does not fit its kind."""
    faults = []
    for target in parse_targets(targets).values():
        fitting = [name for name, entry in _TABLE.items() if target.kind in entry.kinds]
        for metric in target.metric or ():
            name = metric.partition("@")[0]
            advice = f"; metrics that fit: {', '.join(fitting)}"
            if name not in _TABLE:
                near = did_you_mean(name, fitting)
                faults.append(f"targets: {target.name}: unknown metric '{metric}'{near}{advice}")
            elif name not in fitting:
                kinds = " or ".join(_TABLE[name].kinds)
                faults.append(
                    f"targets: {target.name}: metric '{metric}' needs kind {kinds}, but this is a {target.kind}{advice}"
                )
            elif fault := _number_fault(metric):
                faults.append(f"targets: {target.name}: {fault}")
    return faults


def make_metric(name: str, target: Target, spacing: Sequence[float]) -> Metric:
    """Build a metric by a name of `METRIC_NAMES`, for one target.

    Args:
        name: the metric; `name@number` where it takes a number.
        target: what it measures.
        spacing: physical size of a voxel along z, y, x.

    Raises:
        ValueError: for a name that does not exist, or a number that does not belong there.
    """
    base, _, number = name.partition("@")
    if base not in _TABLE:
        raise ValueError(f"unknown metric '{name}'{did_you_mean(base, _TABLE)}; metrics are: {', '.join(_TABLE)}")
    if fault := _number_fault(name):
        raise ValueError(fault)
    return _TABLE[base].build(target, spacing, float(number) if number else None)


def _number_fault(name: str) -> str:
    """What is wrong, in words, with the number behind a metric's name; nothing where it has none."""
    base, at, number = name.partition("@")
    meaning = _TABLE[base].number
    if not at:
        return ""
    if not meaning:
        return f"metric '{name}': '{base}' takes no number behind '@'"
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if math.isfinite(value) and value >= 0:
        return ""
    return f"metric '{name}': expected a number of at least 0 behind '@', {meaning}; got '{number}'"
