"""Prediction of volumes of any size, window by window."""

from .distributed import Distributed
from .ensemble import Ensemble, load_ensemble
from .outputs import OutputFormat, output_format
from .sliding_window import ZarrSlidingWindowInferer
from .streaming import InProcess
from .test_time_augmentation import TestTimeAugmentation
from .windows import WindowGrid, window_grid

__all__ = [
    "Distributed",
    "Ensemble",
    "InProcess",
    "OutputFormat",
    "TestTimeAugmentation",
    "WindowGrid",
    "ZarrSlidingWindowInferer",
    "load_ensemble",
    "output_format",
    "window_grid",
]
