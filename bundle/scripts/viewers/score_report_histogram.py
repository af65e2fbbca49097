"""How values are distributed, as a chart that takes the colours of the page it stands in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from .curves import dress_axes, figure_svg

_BINS = 24


@dataclass(frozen=True)
class Histogram:
    """Numbers of things by a value of theirs.

    Args:
        title: what is shown; each one of a page has its own.
        x_label: what the value is, with its unit.
        y_label: what is counted.
        series: finite values, by name.
        limits: lowest and highest value of the axis; `None`: those that occur.
        is_logarithmic: whether the axis is; then values above 0 alone are shown.
    """

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, ArrayLike]
    limits: tuple[float, float] | None = None
    is_logarithmic: bool = False


def histogram_svg(histogram: Histogram) -> str:
    """A histogram as an SVG element for the inside of an HTML page; several series are outlines over each other."""

    def draw(axes: Axes, ink: str, colours: Sequence[str]) -> None:
        edges = bin_edges(histogram)
        if histogram.is_logarithmic:
            axes.set_xscale("log")
        for n, (name, values) in enumerate(histogram.series.items()):
            counts, _ = np.histogram(np.asarray(values, float), edges)
            colour, style = colours[n % len(colours)], "-" if n < len(colours) else "--"
            if n == 0:
                axes.stairs(counts, edges, fill=True, alpha=0.25, color=colour)
            axes.stairs(counts, edges, linewidth=2, label=name, color=colour, linestyle=style)
        axes.set_ylim(bottom=0)
        dress_axes(axes, histogram.x_label, histogram.y_label, ink, len(histogram.series))

    return figure_svg(histogram.title, draw)


def bin_edges(histogram: Histogram) -> NDArray[np.float64]:
    """Borders of the bins that all series share; a highest value lies in the last bin."""
    values = np.concatenate([np.zeros(0), *(np.asarray(each, float) for each in histogram.series.values())])
    if histogram.is_logarithmic:
        values = values[values > 0]
    low, high = histogram.limits or ((values.min(), values.max()) if len(values) else (0.0, 1.0))
    if histogram.is_logarithmic:
        low = max(low, np.finfo(float).tiny)
        return np.geomspace(low, high if high > low else 2 * low, _BINS + 1)
    return np.linspace(low, high if high > low else low + 1, _BINS + 1)
