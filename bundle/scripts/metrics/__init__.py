"""Metrics: what is measured over a validation set. Tensors in, plain numbers out."""

from .base import Metric
from .label_dice import LabelDice
from .metric_table import METRIC_NAMES, default_metrics, make_metric, metric_faults
from .multi_task_metric import MultiTaskMetric
from .number_errors import R2, MeanAbsoluteError
from .surface_distance import SurfaceDistance
from .vector_errors import AngularError, EndPointError

__all__ = [
    "METRIC_NAMES",
    "R2",
    "AngularError",
    "EndPointError",
    "LabelDice",
    "MeanAbsoluteError",
    "Metric",
    "MultiTaskMetric",
    "SurfaceDistance",
    "default_metrics",
    "make_metric",
    "metric_faults",
]
