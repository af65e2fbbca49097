"""Losses: one per file, their names, and the sum over all targets."""

from .balance import BALANCES, make_balance
from .class_weights import BALANCED, balanced_weights
from .label_loss import LabelLoss
from .loss_table import LOSS_NAMES, LossPart, default_loss, loss_faults, make_losses
from .masked_cosine import MaskedCosineLoss
from .masked_regression import MaskedRegressionLoss
from .multi_task_loss import MultiTaskLoss, level_weights
from .regularisers import EikonalLoss, NormalConsistencyLoss

__all__ = [
    "BALANCED",
    "BALANCES",
    "LOSS_NAMES",
    "EikonalLoss",
    "LabelLoss",
    "LossPart",
    "MaskedCosineLoss",
    "MaskedRegressionLoss",
    "MultiTaskLoss",
    "NormalConsistencyLoss",
    "balanced_weights",
    "default_loss",
    "level_weights",
    "loss_faults",
    "make_balance",
    "make_losses",
]
