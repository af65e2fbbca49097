"""Names of metrics, which kinds they fit, and each kind's defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..geometry import Kind, Target, did_you_mean, parse_targets
from .base import Metric
from .label_dice import LabelDice
from .number_errors import R2, MeanAbsoluteError
from .surface_distance import SurfaceDistance
from .vector_errors import AngularError, EndPointError

_LABEL = (Kind.LABEL,)
_NUMBERS = (Kind.SCALAR, Kind.VECTOR, Kind.NORMAL, Kind.POINTS)
_DIRECTIONS = (Kind.VECTOR, Kind.NORMAL)


@dataclass(frozen=True)
class _Entry:
    build: Callable[[Target, Sequence[float]], Metric]  # target and spacing
    kinds: tuple[Kind, ...]


_TABLE = {
    "dice": _Entry(lambda target, _: LabelDice(target.channels), _LABEL),
    "surface_distance": _Entry(lambda _, spacing: SurfaceDistance(spacing), _LABEL),
    "mae": _Entry(lambda *_: MeanAbsoluteError(), _NUMBERS),
    "r2": _Entry(lambda *_: R2(), _NUMBERS),
    "epe": _Entry(lambda *_: EndPointError(), _DIRECTIONS),
    "angle": _Entry(lambda *_: AngularError(), _DIRECTIONS),
}

METRIC_NAMES = tuple(_TABLE)
"""Names that a target's `metric` may hold."""

_DEFAULTS: dict[Kind, tuple[str, ...]] = {
    Kind.LABEL: ("dice", "surface_distance"),
    Kind.SCALAR: ("mae", "r2"),
    Kind.VECTOR: ("epe",),
    Kind.NORMAL: ("angle",),
    Kind.POINTS: ("mae",),  # of the heatmaps
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
        for name in target.metric or ():
            advice = f"{did_you_mean(name, fitting)}; metrics that fit: {', '.join(fitting)}"
            if name not in _TABLE:
                faults.append(f"targets: {target.name}: unknown metric '{name}'{advice}")
            elif name not in fitting:
                kinds = " or ".join(_TABLE[name].kinds)
                faults.append(
                    f"targets: {target.name}: metric '{name}' needs kind {kinds}, but this is a {target.kind}{advice}"
                )
    return faults


def make_metric(name: str, target: Target, spacing: Sequence[float]) -> Metric:
    """Build a metric by a name of `METRIC_NAMES`, for one target.

    Args:
        name: the metric.
        target: what it measures.
        spacing: physical size of a voxel along z, y, x.
    """
    return _TABLE[name].build(target, spacing)
