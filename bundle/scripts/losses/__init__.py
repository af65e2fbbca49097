"""Losses: one per file, their names, and the sum over all targets."""

from .adaptive_wing import AdaptiveWingLoss
from .balance import BALANCES, make_balance
from .class_weights import BALANCED, balanced_weights
from .heatmaps import HeatmapLoss
from .label_loss import LabelLoss
from .loss_table import LOSS_NAMES, LossPart, default_loss, landmark_loss, loss_faults, make_losses
from .masked_cosine import MaskedCosineLoss
from .masked_regression import MaskedRegressionLoss
from .multi_task_loss import MultiTaskLoss, level_weights
from .phdnet import PatchDisplacementLoss, PHDNetLoss
from .point_contrastive import NEGATIVES, PointContrastiveLoss
from .point_decorrelation import PointBarlowTwinsLoss, PointVICRegLoss
from .point_loss_table import POINT_LOSS_NAMES, make_point_loss
from .regularisers import EikonalLoss, NormalConsistencyLoss
from .sigma_regression import SigmaRegressionLoss
from .soft_argmax import SoftArgmaxLoss
from .two_view_loss import POINTS, TwoViewLoss, sample_views

__all__ = [
    "BALANCED",
    "BALANCES",
    "LOSS_NAMES",
    "NEGATIVES",
    "POINTS",
    "POINT_LOSS_NAMES",
    "AdaptiveWingLoss",
    "EikonalLoss",
    "HeatmapLoss",
    "LabelLoss",
    "LossPart",
    "MaskedCosineLoss",
    "MaskedRegressionLoss",
    "MultiTaskLoss",
    "NormalConsistencyLoss",
    "PHDNetLoss",
    "PatchDisplacementLoss",
    "PointBarlowTwinsLoss",
    "PointContrastiveLoss",
    "PointVICRegLoss",
    "SigmaRegressionLoss",
    "SoftArgmaxLoss",
    "TwoViewLoss",
    "balanced_weights",
    "default_loss",
    "landmark_loss",
    "level_weights",
    "loss_faults",
    "make_balance",
    "make_losses",
    "make_point_loss",
    "sample_views",
]
