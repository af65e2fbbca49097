"""A run's numbers over its epochs as line charts that take the colours of the page they stand in."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

N_SERIES = 6
"""Colours that the page defines as `--series-0` ...; further lines begin again, dashed."""

_INK = "#010203"  # replaced by the page's text colour
_SERIES = [f"#0a0b{i:02x}" for i in range(N_SERIES)]  # replaced by the page's series colours

_MOST_MARKED = 60  # epochs; more points would run together

_LEGEND_CHARACTERS = 48
"""As wide as a chart."""

_SHARES = ("score", "dice", "iou", "r2")  # numbers of at most 1, shown in one chart; surface_dice ends like dice
_UNITS = {
    "angle": "median angle, degrees",
    "surface_distance": "surface distance, physical units",
    "hausdorff95": "Hausdorff distance, 95th percentile, physical units",
    "ece": "calibration error",
    "mae": "mean absolute error",
}


@dataclass(frozen=True)
class Chart:
    """Lines that share their axes.

    Args:
        title: what is shown.
        y_label: of the vertical axis, with the unit.
        series: values of each line, NaN where there is none.
    """

    title: str
    y_label: str
    series: Mapping[str, Sequence[float]]


def history_charts(path: str | Path) -> tuple[list[int], list[Chart]]:
    """What a run's `history.csv` holds (columns `epoch`, `train_<loss term>`, `val_<metric>`), grouped by unit.

    Returns:
        the epochs, and charts: loss terms, learning rate, scores of at most 1, then one for each other metric.

    Raises:
        ValueError: where the file holds no epoch.
    """
    with Path(path).open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{path}: expected at least one epoch, got an empty history")
    columns = {name: [float(row[name] or "nan") for row in rows] for name in rows[0]}
    groups: dict[tuple[str, str], dict[str, list[float]]] = {}
    for name, values in columns.items():
        if name.startswith("train_"):
            groups.setdefault(("Loss terms (training)", "loss"), {})[name.removeprefix("train_")] = values
        elif name.startswith("factor_"):
            groups.setdefault(("Balance of the targets", "factor"), {})[name.removeprefix("factor_")] = values
    if "learning_rate" in columns:
        groups[("Learning rate", "learning rate")] = {"learning rate": columns["learning_rate"]}
    for name, values in columns.items():
        metric = name.removeprefix("val_")
        if metric != name and not metric.endswith("_skipped"):
            groups.setdefault(_group_of(metric), {})[metric.replace("_", " ")] = values
    return [int(float(row["epoch"])) for row in rows], [Chart(*key, series) for key, series in groups.items()]


def chart_svg(epochs: Sequence[int], chart: Chart) -> str:
    """A chart as an SVG element for the inside of an HTML page.

    Its text has the page's colour, its lines the CSS variables `--series-0` ...; its identifiers begin with the
    chart's title, so that several charts can stand in one page.
    """
    return figure_svg(chart.title, lambda axes, ink, colours: draw_chart(axes, epochs, chart, ink, colours))


def figure_svg(title: str, draw: Callable[[Axes, str, Sequence[str]], None]) -> str:
    """What is drawn as an SVG element for the inside of an HTML page, in the page's colours.

    Args:
        title: in whose words identifiers begin.
        draw: draws into axes, with a colour for text and colours for what is shown.
    """
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "polytome", "font.size": 11, "font.family": "sans-serif"}
    ):
        figure = Figure(figsize=(4.8, 3.2), layout="constrained", facecolor="none")
        draw(figure.add_subplot(facecolor="none"), _INK, _SERIES)
        buffer = io.StringIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return _for_page(buffer.getvalue(), title)


def draw_chart(axes: Axes, epochs: Sequence[int], chart: Chart, ink: str, colours: Sequence[str]) -> None:
    """Draw a chart's lines, axes and legend."""
    marker = "o" if len(epochs) <= _MOST_MARKED else ""
    for i, (name, values) in enumerate(chart.series.items()):
        known = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if not math.isnan(value)]
        style = "-" if i < len(colours) else "--"
        axes.plot(
            *(zip(*known, strict=True) if known else ([], [])),
            style,
            color=colours[i % len(colours)],
            marker=marker if len(known) > 1 else "o",
            markersize=4,
            linewidth=2,
            label=name,
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    dress_axes(axes, "epoch", chart.y_label, ink, len(chart.series))


def dress_axes(axes: Axes, x_label: str, y_label: str, ink: str, n_series: int) -> None:
    """Labels, grid, and a legend above where there is something to tell apart."""
    axes.set_xlabel(x_label, color=ink)
    axes.set_ylabel(y_label, color=ink)
    axes.tick_params(colors=ink, which="both")
    axes.grid(color=ink, alpha=0.15)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(ink)
    longest = max((len(label) for label in axes.get_legend_handles_labels()[1]), default=0)
    columns = max(min(_LEGEND_CHARACTERS // (longest + 5), n_series), 1)  # a line before each
    axes.legend(frameon=False, labelcolor=ink, ncols=columns, loc="lower left", bbox_to_anchor=(0, 1))


def _group_of(metric: str) -> tuple[str, str]:
    name = re.sub(r"_class\d+$", "", metric.partition("@")[0])
    if any(name == share or name.endswith(f"_{share}") for share in _SHARES):
        return "Scores (validation)", "score, 1 is best"
    for ending, unit in _UNITS.items():
        if metric.endswith(ending):
            return f"{unit.partition(',')[0].capitalize()} (validation)", unit
    return f"{metric.replace('_', ' ').capitalize()} (validation)", metric.rsplit("_", 1)[-1]


def _for_page(svg: str, title: str) -> str:
    """Matplotlib's file as an element: no header, no size in points, page colours, identifiers of its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    head, body = svg.split(">", 1)
    view_box = re.search(r'viewBox="[^"]*"', head)
    prefix = re.sub(r"\W+", "-", title.lower()).strip("-")
    body = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", body).replace("xlink:href", "href")
    body = body.replace(_INK, "currentColor")
    for i, colour in enumerate(_SERIES):
        body = body.replace(colour, f"var(--series-{i})")
    return f'<svg {view_box[0] if view_box else ""} role="img" aria-label="{title}">{body}'
