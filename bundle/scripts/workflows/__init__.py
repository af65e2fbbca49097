"""Command-line verbs, the check before a run, and what the configs need from several rooms at once."""

from .config_values import at_most, common_spacing, sample_keys, trained_parameters
from .each_prediction import segment_each
from .embedding_stores import check_embedding_stores, check_head
from .faults import RunError, show_run_errors_plainly
from .fit_head import fit_discriminant_head
from .inference_checks import check_inference, check_processing
from .inference_crops import crop_inputs
from .landmark_predictions import (
    checkpoint_files,
    landmark_evaluator,
    landmark_inputs,
    predict_after_training,
    predict_landmarks,
)
from .landmark_samples import LandmarkSamples
from .nnunet_labels import NnunetLabels
from .phantom import phantom, truth_box
from .processes import join_processes
from .start import load_weights, start_training
from .start_checks import check_config, check_training, current_parser
from .sweeps.validate_samples import validate_samples

__all__ = [
    "LandmarkSamples",
    "NnunetLabels",
    "RunError",
    "at_most",
    "check_config",
    "check_embedding_stores",
    "check_head",
    "check_inference",
    "check_processing",
    "check_training",
    "checkpoint_files",
    "common_spacing",
    "crop_inputs",
    "current_parser",
    "fit_discriminant_head",
    "join_processes",
    "landmark_evaluator",
    "landmark_inputs",
    "load_weights",
    "phantom",
    "predict_after_training",
    "predict_landmarks",
    "sample_keys",
    "segment_each",
    "show_run_errors_plainly",
    "start_training",
    "trained_parameters",
    "truth_box",
    "validate_samples",
]
