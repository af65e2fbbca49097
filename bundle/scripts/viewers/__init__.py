"""What a person sees: previews of samples, colours of values, the report page."""

from .colours import UNKNOWN_COLOUR, grey, overlay, target_colours, value_limits
from .dashboard_data import RunFolder
from .dashboard_page import write_dashboard
from .dashboard_server import DashboardServer
from .history_plot import write_history_plot
from .neuroglancer_kinds import LayerKind
from .neuroglancer_layers import Layer, open_layers
from .neuroglancer_page import NeuroglancerPage
from .preview import Panel, preview_frames, preview_panels, write_panels, write_preview
from .principal_colours import embedding_colours
from .report import PictureSection, Score, write_report

__all__ = [
    "UNKNOWN_COLOUR",
    "DashboardServer",
    "Layer",
    "LayerKind",
    "NeuroglancerPage",
    "Panel",
    "PictureSection",
    "RunFolder",
    "Score",
    "embedding_colours",
    "grey",
    "open_layers",
    "overlay",
    "preview_frames",
    "preview_panels",
    "target_colours",
    "value_limits",
    "write_dashboard",
    "write_history_plot",
    "write_panels",
    "write_preview",
    "write_report",
]
