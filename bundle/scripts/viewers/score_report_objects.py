"""Objects of a slice in colours that tell neighbours apart."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MIXER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / the golden ratio: ids in a row get hues far apart
_N_COLOURS = 64


def object_colours(ids: NDArray[Any], background: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """A colour for each id, the same wherever it occurs; 0 shows the background.

    Args:
        ids: H W of any whole numbers.
        background: picture H W 3 over which the colours are laid; `None`: black, and the colours are full.

    Returns:
        H W 3.
    """
    mixed = ids.astype(np.uint64) * _MIXER >> np.uint64(58)  # the upper 6 bits
    colours = np.where((ids != 0)[..., None], _palette()[mixed], np.uint8(0))
    if background is None:
        return colours
    strength = 0.55 * (ids != 0)[..., None]
    return np.rint(background * (1 - strength) + colours * strength).astype(np.uint8)


def _palette() -> NDArray[np.uint8]:
    """Colours around the circle, light and dark in turn."""
    steps = [
        colorsys.hls_to_rgb(n / _N_COLOURS, (0.45, 0.6, 0.75)[n % 3], (0.9, 0.65)[n % 2]) for n in range(_N_COLOURS)
    ]
    return np.rint(np.array(steps) * 255).astype(np.uint8)
