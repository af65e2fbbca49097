"""A run's curves as one picture, to be looked at while it runs."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .curves import draw_chart, history_charts

_INK = "#24292f"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")  # Okabe and Ito, for every eye
_COLUMNS = 3


def write_history_plot(history: str | Path, path: str | Path) -> Path:
    """Draw every chart of a `history.csv` into a PNG file, which is replaced as a whole.

    Raises:
        ValueError: where the history holds no epoch.
    """
    epochs, charts = history_charts(history)
    rows = math.ceil(len(charts) / _COLUMNS)
    figure = Figure(figsize=(4.8 * min(_COLUMNS, len(charts)), 3.4 * rows), layout="constrained", facecolor="white")
    for i, chart in enumerate(charts):
        draw_chart(figure.add_subplot(rows, min(_COLUMNS, len(charts)), i + 1), epochs, chart, _INK, _COLOURS)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    FigureCanvasAgg(figure).print_png(partial)
    return partial.replace(path)
