"""What a person sees: previews of samples, colours of values, the report page."""

from .colours import grey, target_colours, value_limits
from .preview import preview_frames, write_preview

__all__ = ["grey", "preview_frames", "target_colours", "value_limits", "write_preview"]
