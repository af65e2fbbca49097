"""Panels of a preview as pictures that a browser cuts into slices: one atlas of all slices for each panel."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from .preview import Panel

MAX_EDGE = 160
"""Wider slices are shown with every second, third ... voxel alone."""

MAX_PIXELS = 1_200_000
"""Of all panels together; of deeper samples some slices are shown."""

_QUALITY = 80
_SAVING = 1.8  # so many times smaller must a picture be that is not exact


def slice_atlases(panels: Sequence[Panel], max_edge: int = MAX_EDGE, max_pixels: int = MAX_PIXELS) -> dict[str, Any]:
    """Pictures of panels of one sample, as text that JSON holds.

    Args:
        panels: of one shape.
        max_edge: largest height and width of a slice.
        max_pixels: of all panels.

    Returns:
        `z`, the slices that are shown; `depth`, how many there are; `height` and `width` of a slice in an atlas, and
        its `columns`; `panels`, each with `target`, `title` and `picture`, a data URL. Slices are read row by row.
    """
    depth, height, width = panels[0].colours.shape[:3]
    step = math.ceil(max(height, width) / max_edge)
    shown_h, shown_w = math.ceil(height / step), math.ceil(width / step)
    count = min(depth, max(1, max_pixels // (len(panels) * shown_h * shown_w)))
    z = [(2 * n + 1) * depth // (2 * count) for n in range(count)]  # the middles of equal parts
    columns = math.ceil(math.sqrt(count))
    return {
        "z": z,
        "depth": depth,
        "height": shown_h,
        "width": shown_w,
        "columns": columns,
        "panels": [
            {
                "target": panel.target,
                "title": panel.title,
                "picture": data_url(_atlas(panel.colours[z, ::step, ::step], columns)),
            }
            for panel in panels
        ],
    }


def _atlas(slices: np.ndarray, columns: int) -> np.ndarray:
    count, height, width, _ = slices.shape
    rows = math.ceil(count / columns)
    tiles = np.zeros((rows * columns, height, width, 3), np.uint8)
    tiles[:count] = slices
    tiles = tiles.reshape(rows, columns, height, width, 3).transpose(0, 2, 1, 3, 4)  # R C H W 3 -> R H C W 3
    return tiles.reshape(rows * height, columns * width, 3)


def data_url(pixels: np.ndarray) -> str:
    """A picture H W 3 as `data:image/...`: JPEG where that saves much, as with noise, else PNG, which is exact."""
    is_grey = np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 0], pixels[..., 2])
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0]) if is_grey else pixels)
    exact, close = io.BytesIO(), io.BytesIO()
    image.save(exact, "PNG", compress_level=3)
    image.save(close, "JPEG", quality=_QUALITY, **({} if is_grey else {"subsampling": 0}))
    kind, content = "png", exact.getvalue()
    if len(content) > _SAVING * len(close.getvalue()):
        kind, content = "jpeg", close.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
