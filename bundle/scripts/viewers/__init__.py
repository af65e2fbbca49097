"""What a person sees: previews of samples, colours of values, the report page."""

from .colours import UNKNOWN_COLOUR, grey, overlay, target_colours, value_limits
from .embedding_colours import embedding_colours
from .history_plot import write_history_plot
from .neuroglancer_kinds import LayerKind
from .neuroglancer_layers import Layer, open_layers
from .neuroglancer_page import NeuroglancerPage
from .preview import preview_frames, write_preview
from .report import PictureSection, Score, write_report

__all__ = [
    "UNKNOWN_COLOUR",
    "Layer",
    "LayerKind",
    "NeuroglancerPage",
    "PictureSection",
    "Score",
    "embedding_colours",
    "grey",
    "open_layers",
    "overlay",
    "preview_frames",
    "target_colours",
    "value_limits",
    "write_history_plot",
    "write_preview",
    "write_report",
]
