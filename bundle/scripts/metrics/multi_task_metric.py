"""The metrics of all targets, and one score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from monai.data import MetaTensor

from ..geometry import Kind, Target, parse_targets
from ..geometry.activation import activate_prediction
from ..geometry.targets import require_truths
from .base import Metric, ratio
from .metric_table import default_metrics, make_metric, metric_faults
from .radial_error import MeanRadialError
from .vector_errors import EndPointError

_SCORED_BY = {Kind.LABEL: "dice", Kind.SCALAR: "r2", Kind.VECTOR: "epe", Kind.NORMAL: "angle", Kind.POINTS: "mre"}


class MultiTaskMetric:
    """Every target's metrics over a validation set, and their weighted mean as `score`.

    A target's share in the score is a number from 0 to 1, whatever metrics it reports:

    - label: Dice;
    - scalar: R2, but at least 0;
    - vector: 1 / (1 + end-point error / mean length of the true vectors);
    - normal: 1 - median angle / 90 degrees, but at least 0;
    - points: share of the landmarks that were found / (1 + mean radial error in voxels).

    The score is their mean, weighted by the targets' `weight`. A target without any known voxel has NaN for its numbers
    and is left out of the score; so is one whose share is not defined (a label without foreground in truth and
    prediction, a constant scalar).

    Args:
        targets: the `targets` table, whose `metric` and `weight` are used.
        spacing: physical size of a voxel along z, y, x; in 2D the last two count.

    Raises:
        ValueError: for a metric that does not exist or does not fit its target, all at once; for a target that has no
            truth.
    """

    def __init__(self, targets: Mapping[str, Any], spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> None:
        faults = metric_faults(targets)
        if faults:
            raise ValueError("\n".join(faults))
        self.targets = parse_targets(targets)
        require_truths(self.targets)
        self._reported = {name: target.metric or default_metrics(target) for name, target in self.targets.items()}
        self._metrics: dict[str, dict[str, Metric]] = {
            name: {
                metric: make_metric(metric, target, spacing)
                for metric in dict.fromkeys((*self._reported[name], _SCORED_BY[target.kind]))
            }
            for name, target in self.targets.items()
        }

    def reset(self) -> None:
        """Forget everything."""
        for metrics in self._metrics.values():
            for metric in metrics.values():
                metric.reset()

    @torch.no_grad()
    def update(self, predictions: Mapping[str, Any], labels: Mapping[str, torch.Tensor]) -> None:
        """Add one batch.

        Args:
            predictions: per target, logits B C D H W; of a list (deep supervision) the first counts.
            labels: per target, B 1 D H W with negative values unknown (labels) or B C D H W with NaN unknown; of kind
                points also B C 3, indices of the voxels.

        Raises:
            ValueError: when a target has no prediction or no label, naming all keys.
        """
        without = [name for name in self.targets if name not in predictions or name not in labels]
        if without:
            raise ValueError(
                f"targets without prediction or label: {without}; predictions have {list(predictions)}, "
                f"labels have {list(labels)}"
            )
        for name, target in self.targets.items():
            prediction = predictions[name]
            prediction = _plain(prediction[0] if isinstance(prediction, (list, tuple)) else prediction)
            values = activate_prediction(prediction, target)
            for metric in self._metrics[name].values():
                metric.update(values, _plain(labels[name]))

    def merge(self, other: Self) -> None:
        """Add what another one with the same targets has seen, such as that of another process."""
        for name, metrics in self._metrics.items():
            for key, metric in metrics.items():
                metric.merge(other._metrics[name][key])

    def compute(self) -> dict[str, float]:
        """All numbers by `<target>_<metric>`, in the order of the targets, and `score`."""
        numbers: dict[str, float] = {}
        weighted = weights = 0.0
        for name, target in self.targets.items():
            for metric in self._reported[name]:
                computed = self._metrics[name][metric].compute()
                numbers |= {f"{name}_{key}": value for key, value in computed.items()}
            share = _share(target, self._metrics[name][_SCORED_BY[target.kind]])
            if not math.isnan(share):
                weighted += target.weight * share
                weights += target.weight
        numbers["score"] = ratio(weighted, weights)
        return numbers


def _share(target: Target, metric: Metric) -> float:
    """A target's share in the score, 0 to 1, or NaN; the comparisons keep NaN, which `max` might not."""
    value = metric.compute()[_SCORED_BY[target.kind]]
    if target.kind == Kind.NORMAL:
        value = 1 - value / 90
    elif isinstance(metric, MeanRadialError):
        share = metric.found_share()
        value = share / (1 + value / metric.voxel_length) if share else share
    elif isinstance(metric, EndPointError):
        value = 1 / (1 + value / metric.mean_length) if metric.mean_length else float("nan")
    return 0.0 if value < 0 else value


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor without its meta data, which costs time in every operation."""
    return tensor.as_tensor() if isinstance(tensor, MetaTensor) else tensor
