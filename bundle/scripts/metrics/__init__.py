"""Metrics: what is measured over a validation set, a volume or a crop. Tensors or arrays in, plain numbers out."""

from .base import Metric
from .calibration_error import CalibrationError
from .cellmap_instances import CELLMAP_INSTANCE_CLASSES, CELLMAP_VERSION, cellmap_instance_counts
from .cellmap_scores import (
    cellmap_class_score,
    cellmap_missing_counts,
    cellmap_overall_score,
    cellmap_semantic_counts,
    cellmap_semantic_score,
)
from .contingency import Contingency
from .counts import Counts
from .hausdorff95 import HausdorffDistance95
from .information_scores import variation_of_information
from .label_dice import LabelDice
from .label_iou import LabelIoU
from .matched_points import PointMatching, point_matching
from .matching import (
    AVERAGE_PRECISION_THRESHOLDS,
    Matching,
    match_objects,
    matching_scores,
    mean_average_precision,
)
from .metric_table import METRIC_NAMES, default_metrics, make_metric, metric_faults
from .multi_task_metric import MultiTaskMetric
from .number_errors import R2, MeanAbsoluteError
from .overlap_scores import class_overlaps, overlap
from .radial_error import MeanRadialError, radial_errors
from .rand_scores import AdaptedRand, adapted_rand
from .surface_dice import SurfaceDice
from .surface_distance import SurfaceDistance
from .surfaces import SurfaceDistances, surface_distances
from .vector_errors import AngularError, EndPointError

__all__ = [
    "AVERAGE_PRECISION_THRESHOLDS",
    "CELLMAP_INSTANCE_CLASSES",
    "CELLMAP_VERSION",
    "METRIC_NAMES",
    "R2",
    "AdaptedRand",
    "AngularError",
    "CalibrationError",
    "Contingency",
    "Counts",
    "EndPointError",
    "HausdorffDistance95",
    "LabelDice",
    "LabelIoU",
    "Matching",
    "MeanAbsoluteError",
    "MeanRadialError",
    "Metric",
    "MultiTaskMetric",
    "PointMatching",
    "SurfaceDice",
    "SurfaceDistance",
    "SurfaceDistances",
    "adapted_rand",
    "cellmap_class_score",
    "cellmap_instance_counts",
    "cellmap_missing_counts",
    "cellmap_overall_score",
    "cellmap_semantic_counts",
    "cellmap_semantic_score",
    "class_overlaps",
    "default_metrics",
    "make_metric",
    "match_objects",
    "matching_scores",
    "mean_average_precision",
    "metric_faults",
    "overlap",
    "point_matching",
    "radial_errors",
    "surface_distances",
    "variation_of_information",
]
