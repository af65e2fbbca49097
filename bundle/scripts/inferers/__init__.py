"""Prediction of volumes of any size, window by window."""

from .outputs import OutputFormat, output_format
from .sliding_window import ZarrSlidingWindowInferer
from .windows import WindowGrid, window_grid

__all__ = [
    "OutputFormat",
    "WindowGrid",
    "ZarrSlidingWindowInferer",
    "output_format",
    "window_grid",
]
