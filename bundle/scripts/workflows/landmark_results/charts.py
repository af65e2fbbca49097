"""How errors are distributed, and how they go with the uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from ...landmarks import QuantileBins, uncertainty_correlation
from ...viewers.curves import dress_axes
from ...viewers.score_report_histogram import Histogram, bin_edges
from .bins import MethodBins
from .case import CONFIDENCES, Floats, LandmarkCase, common_unit
from .drawing import COLOURS, INK, new_figure, save_figure

_FAR = 4.0  # medians from which on errors are counted together

_MOST_DOTS = 5000  # of more landmarks every second, third, ... is drawn


def error_histogram(cases: Sequence[LandmarkCase]) -> Histogram:
    """Errors of each method, physical where a unit is known; those beyond 4 times its median stand in the last bar.

    Landmarks that were not found are left out.
    """
    unit = common_unit(cases)
    series = {}
    for method in cases[0].found:
        errors = np.concatenate([case.errors(method, in_unit=unit is not None) for case in cases])
        series[method] = errors[np.isfinite(errors)]
    known = np.concatenate(list(series.values()))
    most = float(known.max()) if len(known) else 1.0
    limit = min(most, _FAR * float(np.median(known))) if len(known) and np.median(known) > 0 else most
    label = f"error, {unit or 'voxels'}" + (", farther ones in the last bar" if limit < most else "")
    clipped = {method: np.minimum(errors, limit) for method, errors in series.items()}
    return Histogram("Errors of landmarks", label, "landmarks", clipped, (0.0, limit))


def write_error_histogram(path: Path, cases: Sequence[LandmarkCase]) -> None:
    """Draw `error_histogram` into a PNG file."""
    histogram = error_histogram(cases)
    edges = bin_edges(histogram)
    figure = new_figure(6.4, 4.0)
    axes = figure.add_subplot()
    for n, (method, errors) in enumerate(histogram.series.items()):
        counts, _ = np.histogram(np.asarray(errors), edges)
        axes.stairs(counts, edges, linewidth=2, fill=n == 0, alpha=0.35 if n == 0 else 1.0, label=method,
                    color=COLOURS[n % len(COLOURS)])  # fmt: skip
    dress_axes(axes, histogram.x_label, histogram.y_label, INK, len(histogram.series))
    save_figure(figure, path)


def draw_uncertainty(
    axes: Axes, ink: str, colours: Sequence[str], cases: Sequence[LandmarkCase], method: str, bins: MethodBins | None
) -> None:
    """Draw the error of each landmark against a method's uncertainty, and the bins' expected errors as areas.

    The less sure, the farther to the right: the axis of an activation is turned round.
    """
    unit = common_unit(cases)
    uncertainty = np.concatenate([case.uncertainty(method) for case in cases])
    errors = np.concatenate([case.errors(method, in_unit=unit is not None) for case in cases])
    known = np.isfinite(uncertainty) & np.isfinite(errors)
    uncertainty, errors = uncertainty[known], errors[known]
    sign = -1.0 if method in CONFIDENCES else 1.0
    correlation = uncertainty_correlation(uncertainty, errors)
    label = f"{len(errors):,} landmarks" + (f", Spearman {correlation:.2f}" if np.isfinite(correlation) else "")
    shown = slice(None, None, -(-len(errors) // _MOST_DOTS) or 1)
    (dots,) = axes.plot(sign * uncertainty[shown], errors[shown], "o", color=colours[0], markersize=4, label=label)
    dots.set(alpha=0.5, markeredgewidth=0)
    top = 1.05 * float(errors.max()) if len(errors) and errors.max() > 0 else 1.0
    has_bins = bins is not None and bins.unit == unit and method in bins.methods and len(errors) > 0
    if bins is not None and has_bins:
        _draw_bins(axes, colours[1], bins.methods[method], uncertainty, sign, top)
    if method in CONFIDENCES:
        axes.invert_xaxis()
    axes.set_ylim(0, top)
    kind = "activation" if method in CONFIDENCES else "uncertainty"
    dress_axes(axes, f"{method}: {kind}, less sure to the right", f"error, {unit or 'voxels'}", ink, 1 + has_bins)


def _draw_bins(axes: Axes, colour: str, bins: QuantileBins, uncertainty: Floats, sign: float, top: float) -> None:
    """Expected errors of each bin, as areas that end at `top`."""
    ends = np.array([min(uncertainty.min(), bins.thresholds[0]), *bins.thresholds,
                     max(uncertainty.max(), bins.thresholds[-1])])  # fmt: skip
    low, high = bins.bounds(np.arange(len(ends) - 1))
    for n, edges in enumerate(pairwise(sign * ends)):
        label = "expected by the bins" if n == 0 else None
        axes.fill_between(edges, low[n], min(high[n], top), color=colour, alpha=0.25, linewidth=0, label=label)
    for threshold in bins.thresholds:
        axes.axvline(sign * threshold, color=colour, linewidth=1, alpha=0.5)


def write_uncertainty_plot(path: Path, cases: Sequence[LandmarkCase], bins: MethodBins | None = None) -> None:
    """Draw `draw_uncertainty` of every method side by side into a PNG file."""
    methods = list(cases[0].found)
    figure = new_figure(5.2 * len(methods), 4.0)
    for axes, method in zip(figure.subplots(1, len(methods), squeeze=False)[0], methods, strict=True):
        draw_uncertainty(axes, INK, COLOURS, cases, method, bins)
    save_figure(figure, path)
