"""Prediction of volumes of any size, window by window."""

from .distributed import Distributed
from .ensemble import Ensemble, load_ensemble, load_member
from .fingerprint import check_fingerprint, stored_fingerprint, weights_fingerprint
from .landmark_passes import dropout_layers
from .landmarks import INFERENCE_MODES, UNCERTAINTIES, LandmarkInferer, LandmarkPrediction
from .outputs import OutputFormat, output_format
from .slice_passes import SlicePasses, slice_sizes
from .sliding_window import ZarrSlidingWindowInferer
from .streaming import InProcess
from .target_grid import TargetGridInferer
from .test_time_augmentation import TestTimeAugmentation
from .windows import WindowGrid, window_grid

__all__ = [
    "INFERENCE_MODES",
    "UNCERTAINTIES",
    "Distributed",
    "Ensemble",
    "InProcess",
    "LandmarkInferer",
    "LandmarkPrediction",
    "OutputFormat",
    "SlicePasses",
    "TargetGridInferer",
    "TestTimeAugmentation",
    "WindowGrid",
    "ZarrSlidingWindowInferer",
    "check_fingerprint",
    "dropout_layers",
    "load_ensemble",
    "load_member",
    "output_format",
    "slice_sizes",
    "stored_fingerprint",
    "weights_fingerprint",
    "window_grid",
]
