"""Predicted and true points on pictures, and figures as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from .case import Floats

INK = "#24292f"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")  # Okabe and Ito, for every eye

_TRUE, _FOUND, _AWAY = "#56b4e9", "#e69f00", "#f0e442"  # of the same, those that stand out on black and on white
_EDGE = [withStroke(linewidth=2.5, foreground="black")]
_DPI = 120


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file, which is replaced as a whole; its folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    figure.set_dpi(_DPI)
    FigureCanvasAgg(figure).print_png(partial)
    partial.replace(path)


def new_figure(width: float, height: float) -> Figure:
    """A white figure of a size in inches."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def show_plane(axes: Axes, plane: NDArray, names: str, lengths: Floats) -> None:
    """Show a picture H W (or H W 3) in its proportions.

    Args:
        axes: where.
        plane: of finite numbers; grey between the 1st and 99.5th percentile, or colours.
        names: of the picture's axes, downwards and to the right.
        lengths: size of a pixel along them.
    """
    low, high = np.percentile(plane, (1, 99.5)) if plane.ndim == 2 else (0, 1)
    aspect = lengths[0] / lengths[1]
    axes.imshow(plane, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=aspect, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(f"{names[1]} \N{RIGHTWARDS ARROW}", color=INK, loc="left")
    axes.set_ylabel(f"{names[0]} \N{DOWNWARDS ARROW}", color=INK, rotation=0, loc="top")
    for spine in axes.spines.values():
        spine.set_visible(False)


def mark_points(axes: Axes, truth: Floats, found: Floats, size: float = 6.0) -> None:
    """Mark points, N 2 along the picture's axes: rings where they are, crosses where they were found, lines between.

    NaN is not marked.
    """
    both = np.isfinite(truth).all(axis=1) & np.isfinite(found).all(axis=1)
    lines = np.stack([truth[both], found[both]])  # N 2 -> 2 N 2
    axes.plot(lines[..., 1], lines[..., 0], "-", color=_AWAY, linewidth=1.5, alpha=0.9)
    for points, style in ((truth, _true_style(size)), (found, _found_style(size))):
        axes.plot(points[:, 1], points[:, 0], path_effects=_EDGE if style["marker"] == "x" else None, **style)


def name_point(axes: Axes, point: Floats, text: str) -> None:
    """Write a name beside a point of a picture."""
    axes.annotate(
        text, (point[1], point[0]), (7, 5), textcoords="offset points", color="white", fontsize=9, fontweight="bold",
        path_effects=_EDGE, annotation_clip=True,
    )  # fmt: skip


def point_legend(has_truth: bool) -> list[Artist]:
    """What rings, crosses and lines stand for."""
    found = Line2D([], [], label="prediction", **_found_style(7))
    if not has_truth:
        return [found]
    return [
        Line2D([], [], label="truth", **_true_style(7)),
        found,
        Line2D([], [], color=_AWAY, linewidth=2, label="error"),
    ]


def _true_style(size: float) -> dict[str, Any]:
    return {"marker": "o", "linestyle": "", "markersize": size, "markerfacecolor": "none", "markeredgecolor": _TRUE,
            "markeredgewidth": 1.4}  # fmt: skip


def _found_style(size: float) -> dict[str, Any]:
    return {"marker": "x", "linestyle": "", "markersize": size * 0.85, "color": _FOUND, "markeredgewidth": 1.6}
