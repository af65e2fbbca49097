"""Losses: one per file, their names, and the sum over all targets."""

from .label_loss import LabelLoss
from .loss_table import LOSS_NAMES, default_loss, loss_faults, make_loss
from .masked_cosine import MaskedCosineLoss
from .masked_regression import MaskedRegressionLoss
from .multi_task_loss import MultiTaskLoss, level_weights

__all__ = [
    "LOSS_NAMES",
    "LabelLoss",
    "MaskedCosineLoss",
    "MaskedRegressionLoss",
    "MultiTaskLoss",
    "default_loss",
    "level_weights",
    "loss_faults",
    "make_loss",
]
