"""What the folds of a cross-validation reached: one row each, their mean, and how far they differ."""

from __future__ import annotations

import csv
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..landmark_results.summary import ALL, LANDMARK

FOLD, EPOCH = "fold", "epoch"
MEAN, SD = "mean", "sd"

_VALIDATION, _SCORE = "val_", "val_score"
PARTS = ("test", "validation")
"""Folders of a training's results."""

_OF_A_BIN = re.compile(r"_bin\d+_")


def fold_row(number: int, folder: str | Path, results: str | Path) -> dict[str, Any]:
    """What a fold reached.

    Args:
        number: of the fold.
        folder: of its training; `history.csv` in it says which epoch had the best validation score.
        results: folder of the scores of its predictions, of which the row `all` of `test/summary.csv` and that of
            `validation/summary.csv` are taken, where there are any.

    Returns:
        the number, the epoch, its validation metrics, and the scores as `test_...` and `validation_...`; without those
        of single bins of uncertainty, which are others in each fold.
    """
    row: dict[str, Any] = {FOLD: number}
    validated = [one for one in _rows(Path(folder) / "history.csv") if _number(one.get(_SCORE)) is not None]
    if validated:
        best = max(validated, key=lambda one: _number(one[_SCORE]) or 0.0)
        row[EPOCH] = int(best[EPOCH])
        row |= {key.removeprefix(_VALIDATION): _number(v) for key, v in best.items() if key.startswith(_VALIDATION)}
    for part in PARTS:
        scores = next((one for one in _rows(Path(results) / part / "summary.csv") if one.get(LANDMARK) == ALL), {})
        known = {key: _number(text) for key, text in scores.items() if not _OF_A_BIN.search(key)}
        row |= {f"{part}_{key}": value for key, value in known.items() if value is not None}
    return row


def with_summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of folds, followed by the mean and the standard deviation (of a sample, n - 1) of every column of scores."""
    columns = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in (FOLD, EPOCH)]
    values = {key: [row[key] for row in rows if row.get(key) is not None] for key in columns}
    means = {key: statistics.fmean(known) for key, known in values.items() if known}
    spread = {key: statistics.stdev(known) for key, known in values.items() if len(known) > 1}
    return [*map(dict, rows), {FOLD: MEAN, **means}, {FOLD: SD, **spread}]


def write_table(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Write rows as CSV; what is not known stays empty."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, _columns(rows), restval="")
        writer.writeheader()
        writer.writerows({key: _shown(value, 6) for key, value in row.items()} for row in rows)
    return partial.replace(path)


def show_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as text, side by side: a line for each of their columns."""
    lines = [[key, *(_shown(row.get(key), 4) for row in rows)] for key in _columns(rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(n) for cell, n in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _number(text: str | None) -> float | None:
    """A finite number, `None` for what is none."""
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _shown(value: Any, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}g}" if isinstance(value, float) else str(value)
