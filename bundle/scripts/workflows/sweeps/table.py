"""What a sweep found: the best of each validation in one table, and a picture of it."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from ...viewers.curves import dress_axes
from .experiment import Head
from .validate_samples import best_row

INDEX = (
    "contrastive_combination", "head_combination", "contrastive_checkpoint", "head_checkpoint", "threshold",
)  # fmt: skip
_ABOUT = ("head", "pretrained", "num_points")
_CHARTS = {"voi_sum": ("VOI (split + merge), bits; 0 is best", min), "dice": ("foreground Dice; 1 is best", max)}

_INK = "#24292f"
_COLOURS = {True: "#0072b2", False: "#d55e00"}  # Okabe and Ito, for every eye
_NAMES = {True: "pre-trained", False: "from scratch"}


def collect_best(heads: Mapping[str, tuple[int, int, int, Head]], root: Path) -> list[dict[str, Any]]:
    """Row of the best threshold of every `metrics_<checkpoint>.csv` that there is.

    Args:
        heads: folder in the tree -> indices of the combinations, checkpoint of the pre-training, and the head.
        root: of the tree.
    """
    rows: list[dict[str, Any]] = []
    for name, (i, j, contrastive, head) in heads.items():
        files = {int(path.stem.partition("_")[2]): path for path in (root / name / "metrics").glob("metrics_*.csv")}
        for checkpoint, path in sorted(files.items()):
            with path.open(newline="") as file:
                measured = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
            best = best_row(measured)
            index = (i, j, contrastive, checkpoint, best.pop("threshold"))
            about = (head.config, not head.is_baseline, head.num_points)
            rows.append(dict(zip((*INDEX, *_ABOUT), (*index, *about), strict=True)) | best)
    return rows


def write_best(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Write the table as CSV; what was not measured stays empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in rows)
    return partial.replace(path)


def write_plot(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draw scores against the number of points as PNG, with and without pre-training.

    Each dot is a row; a line joins the best ones. What is trained on all voxels is a dashed line across.

    Args:
        rows: see `collect_best`, at least one.
        path: of the picture.
    """
    measures = [name for name in _CHARTS if any(name in row for row in rows)]
    figure = Figure(figsize=(5.4 * len(measures), 4.0), layout="constrained", facecolor="white")
    for n, name in enumerate(measures):
        axes = figure.add_subplot(1, len(measures), n + 1)
        _draw(axes, [row for row in rows if name in row], name)
    partial = path.with_name(f"{path.name}.partial")
    FigureCanvasAgg(figure).print_png(partial)
    return partial.replace(path)


def _draw(axes: Axes, rows: Sequence[Mapping[str, Any]], measure: str) -> None:
    label, best = _CHARTS[measure]
    counts = sorted({row["num_points"] for row in rows if row["num_points"] is not None})
    n_lines = 0
    for is_pretrained, colour in _COLOURS.items():
        group = [row for row in rows if row["pretrained"] is is_pretrained]
        sparse = [row for row in group if row["num_points"] is not None]
        dense = [row[measure] for row in group if row["num_points"] is None]
        if sparse:
            axes.plot([row["num_points"] for row in sparse], [row[measure] for row in sparse], "o",
                      color=colour, alpha=0.35, markersize=4)  # fmt: skip
            own = sorted({row["num_points"] for row in sparse})
            line = [best(row[measure] for row in sparse if row["num_points"] == count) for count in own]
            axes.plot(own, line, "-o", color=colour, markersize=5, linewidth=2, label=_NAMES[is_pretrained])
            n_lines += 1
        if dense:
            name = f"{_NAMES[is_pretrained]}, all voxels"
            axes.axhline(best(dense), color=colour, linestyle="--", linewidth=2, label=name)
            n_lines += 1
    if counts:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(counts))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([str(count) for count in counts])
        margin = 0.25 * max(math.log2(counts[-1] / counts[0]), 1.0) / 2
        axes.set_xlim(counts[0] / 2**margin, counts[-1] * 2**margin)
    else:
        axes.set_xticks([])
    axes.set_ylim(0, 1 if best is max else None)
    dress_axes(axes, "annotated points" if counts else "", label, _INK, n_lines)
