"""Values to colours: one picture language for previews and reports."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps

from ..geometry import Activation, Kind, Target

UNKNOWN_COLOUR = (44, 44, 52)
"""Shown where the truth is unknown, or where there is no normal."""

# Okabe and Ito 2008: told apart by colour-blind readers, too; the background is black
_CLASS_COLOURS = ("000000", "e69f00", "56b4e9", "009e73", "f0e442", "0072b2", "d55e00", "cc79a7")


def grey(image: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    """... floats to ... 3 uint8; the limits are the 1st and 99th percentile unless given."""
    finite = image[np.isfinite(image)]
    if low is None or high is None:
        low, high = np.percentile(finite, (1, 99)) if finite.size else (0.0, 1.0)
    scaled = np.clip((image - low) / max(high - low, 1e-12), 0, 1)
    return np.repeat((np.nan_to_num(scaled) * 255).astype(np.uint8)[..., None], 3, axis=-1)


def value_limits(*arrays: np.ndarray) -> tuple[float, float]:
    """Common limits for pictures that are compared: the 1st and 99th percentile of the first with any finite value."""
    for array in arrays:
        finite = array[np.isfinite(array)]
        if finite.size:
            low, high = np.percentile(finite, (1, 99))
            return float(low), float(max(high, low + 1e-6))
    return 0.0, 1.0


def target_colours(values: np.ndarray, target: Target, limits: tuple[float, float] | None = None) -> np.ndarray:
    """Colours of a label or an activated prediction.

    Probabilities are grey from black to white, classes have a colour each, of several foregrounds the first three are
    red, green and blue, scalars (the first channel) and heatmaps
    of points (the highest of them) go through viridis, normals and vectors show |z|, |y|, |x| as red, green, blue (a
    sheet seen from either side has one colour).

    Args:
        values: C D H W; labels have one channel with -1 where unknown, other kinds NaN.
        target: its row of the table.
        limits: values of the darkest and the brightest colour, for scalars and vectors.

    Returns:
        D H W 3 uint8.
    """
    if target.kind is Kind.LABEL and target.channels == 1:
        colours = grey(np.clip(values[0], 0, 1), 0, 1)
        unknown = values[0] < 0
    elif target.kind is Kind.LABEL and target.activation is Activation.SIGMOID and len(values) > 1:
        parts = np.moveaxis(values[:3], 0, -1)  # C D H W -> D H W C
        colours = grey(np.clip(parts, 0, 1), 0, 1)[..., 0]
        colours = np.pad(colours, [(0, 0)] * (parts.ndim - 1) + [(0, 3 - parts.shape[-1])])
        unknown = (values < 0).all(axis=0)
    elif target.kind is Kind.LABEL:
        classes = values[0] if values.shape[0] == 1 else values.argmax(axis=0)  # C D H W -> D H W
        table = np.array([list(bytes.fromhex(colour)) for colour in _CLASS_COLOURS], np.uint8)
        index = np.maximum(classes, 0).astype(int)
        colours = table[np.where(index == 0, 0, (index - 1) % (len(table) - 1) + 1)]
        unknown = classes < 0
    elif target.kind.is_directional:
        length = 1.0 if target.kind is Kind.NORMAL else max(np.abs(limits or value_limits(values)))
        parts = np.clip(np.abs(np.moveaxis(values[-3:], 0, -1)) / length, 0, 1)  # C D H W -> D H W C
        missing = ((0, 0),) * (parts.ndim - 1) + ((3 - parts.shape[-1], 0),)  # 2D: y, x without z
        colours = (np.nan_to_num(np.pad(parts, missing)) * 255).astype(np.uint8)
        unknown = ~np.isfinite(values).all(axis=0)
        if target.kind is Kind.NORMAL:
            unknown |= ~values.any(axis=0)
    else:
        low, high = limits or value_limits(values)
        shown = values.max(axis=0) if target.kind is Kind.POINTS else values[0]
        scaled = np.clip((shown - low) / (high - low), 0, 1)
        colours = (colormaps["viridis"](np.nan_to_num(scaled))[..., :3] * 255).astype(np.uint8)
        unknown = ~np.isfinite(shown)
    return np.where(unknown[..., None], np.array(UNKNOWN_COLOUR, np.uint8), colours)


def overlay(background: np.ndarray, share: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Lay a colour over a picture.

    Args:
        background: ... 3 uint8.
        share: how much of the colour, from 0 to 1, where the picture would otherwise be; a mask or a probability.
        colour: red, green, blue.

    Returns:
        ... 3 uint8.
    """
    strength = 0.6 * np.clip(share, 0, 1)[..., None]  # the picture stays visible below
    return np.rint(background * (1 - strength) + np.array(colour) * strength).astype(np.uint8)
