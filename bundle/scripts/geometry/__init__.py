"""Affines, vectors and points under change of space, and the words that all rooms share about targets."""

from .activation import activate_prediction
from .precision import PRECISIONS, autocast, check_precision
from .target_grid import TargetGrid
from .targets import (
    IMAGE_KEY,
    MASK_KEY,
    SEED_KEY,
    UNKNOWN_LABEL,
    Activation,
    Kind,
    Target,
    did_you_mean,
    interpolation_modes,
    parse_targets,
    stored_keys,
    stored_kinds,
    target_faults,
)
from .threads import one_thread

__all__ = [
    "IMAGE_KEY",
    "MASK_KEY",
    "PRECISIONS",
    "SEED_KEY",
    "UNKNOWN_LABEL",
    "Activation",
    "Kind",
    "Target",
    "TargetGrid",
    "activate_prediction",
    "autocast",
    "check_precision",
    "did_you_mean",
    "interpolation_modes",
    "one_thread",
    "parse_targets",
    "stored_keys",
    "stored_kinds",
    "target_faults",
]
