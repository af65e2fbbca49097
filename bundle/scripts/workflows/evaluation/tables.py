"""Scores as text, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .measures import Column
from .rows import Row

_HEAD = ("prediction", "dataset", "crop", "class", "kind", "crops", "voxels")


def as_csv(rows: Sequence[Row], columns: Iterable[str]) -> str:
    """Rows as CSV: a cell is empty where a number is not defined or does not fit, `inf` where it is infinite."""
    names = list(columns)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*_HEAD, *names, "note"])
    for row in rows:
        values = [row.numbers.get(name, math.nan) for name in names]
        cells = ["" if math.isnan(value) else repr(float(value)) for value in values]
        writer.writerow([*_head(row).values(), *cells, row.note])
    return file.getvalue()


def as_json(content: Any) -> str:
    """Anything made of rows, dictionaries and lists as JSON: `null` where a number is not defined, `"inf"` infinite."""
    return json.dumps(_plain(content), indent=2) + "\n"


def as_text(rows: Sequence[Row], columns: Mapping[str, Column]) -> str:
    """A table for a terminal, predictions of one class below each other.

    Of several predictions, the best number of a class has a `*`.
    """
    names = shown_columns(rows, columns)
    best = best_numbers(rows, columns)
    several = len({row.prediction for row in rows}) > 1
    words = ["class", "prediction"] if several else ["class"]
    lines = [[*words, "crops", *(f"{name} " for name in names), "note"]]
    for n, row in enumerate(rows):
        is_first = n == 0 or rows[n - 1].label != row.label
        cells = [format_number(row.numbers.get(name)) + ("*" if (n, name) in best else " ") for name in names]
        head = [row.label if is_first or not several else "", row.prediction][: len(words)]
        lines.append([*head, str(row.crops or ""), *cells, row.note])
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    is_number = [len(words) <= n < len(widths) - 1 for n in range(len(widths))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, is_number, strict=True)
        ).rstrip()
        for line in lines
    )


def shown_columns(rows: Sequence[Row], columns: Mapping[str, Column]) -> list[str]:
    """Names of the columns that a summary of some rows shows."""
    return [name for name, column in columns.items() if column.is_shown and any(name in row.numbers for row in rows)]


def best_numbers(rows: Sequence[Row], columns: Mapping[str, Column]) -> set[tuple[int, str]]:
    """Where the best number of each class and crop stands: place of the row, and column; nowhere if all are equal."""
    best = set()
    for name, column in columns.items():
        groups: dict[tuple[str, str, str, str], list[tuple[int, float]]] = {}
        for n, row in enumerate(rows):
            value = row.numbers.get(name, math.nan)
            if not math.isnan(value):
                groups.setdefault((row.dataset, row.crop, row.label, row.kind), []).append((n, value))
        for group in groups.values():
            values = [value for _, value in group]
            wanted = min(values) if column.lower_is_better else max(values)
            if min(values) < max(values):
                best |= {(n, name) for n, value in group if value == wanted}
    return best


def format_number(value: float | None) -> str:
    """At least four digits; `-` where there is no number."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def _head(row: Row) -> dict[str, Any]:
    values = (row.prediction, row.dataset, row.crop, row.label, row.kind, row.crops or "", row.voxels or "")
    return dict(zip(_HEAD, values, strict=True))


def _plain(content: Any) -> Any:
    if isinstance(content, Row):
        return _plain(_head(content) | {"numbers": dict(content.numbers), "note": content.note})
    if isinstance(content, Mapping):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_plain(value) for value in content]
    if isinstance(content, Path):
        return str(content)
    if isinstance(content, float) and not math.isfinite(content):
        return None if math.isnan(content) else str(content)
    return content
