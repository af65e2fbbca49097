"""Landmarks as CSV: one a line, whose columns say what the numbers are."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .grid import unit_symbol
from .landmarks import PHYSICAL, VOXELS, Landmarks, numbered, whole_or_missing

NAME = "name"

_COORDINATE = re.compile(r"([zyx])(?:_(\w+))?")
_INDEX = re.compile(r"#?\s*i\s*,\s*j\s*(,\s*k\b)?")


def read_landmark_table(path: Path) -> Landmarks:
    """Read a CSV file, whose header says what the numbers are.

    Columns `z`, `y`, `x` (2D: `y`, `x`) are voxels; `z_mm`, `y_mm`, `x_mm`, or of another unit, are physical: spacing
    and translation of the volume. A header that begins with `i,j,k` (2D: `i,j`), as a comment too, stands for voxels in
    the order x, y, z, as NIfTI has them. `name` may be there; without it landmarks are numbered from 1. Further columns
    go to `extra`. An empty cell, or `nan`, is missing.

    Raises:
        ValueError: for columns that say nothing of the kind, and cells that are no numbers.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = [line for line in file if line.strip()]
    header, lines = lines[:1], lines[1:]
    if not header or not lines:
        raise ValueError(f"{path}: holds no landmark; expected a header such as name,z,y,x and a line for each")
    columns = [column.strip() for column in next(csv.reader(header))]
    if index := _INDEX.match(header[0]):
        columns = ["x", "y", "z"] if index[1] else ["x", "y"]
    coordinates, unit = _coordinates(columns, path)
    rows = list(csv.DictReader(lines, columns, skipinitialspace=True))
    points = [
        [_number(row, coordinates[axis], f"{path}, line {n}") for axis in "zyx" if axis in coordinates]
        for n, row in enumerate(rows, 2)
    ]
    others = [column for column in columns if column not in (NAME, *coordinates.values())]
    return Landmarks(
        tuple((row[NAME] or "").strip() for row in rows) if NAME in columns else numbered(len(rows)),
        whole_or_missing(np.array(points, np.float64)),
        VOXELS if unit is None else PHYSICAL,
        unit,
        {column: [row[column] for row in rows] for column in others},
    )


def write_landmark_table(path: Path, landmarks: Landmarks) -> None:
    """Write a CSV file with the columns name, z, y, x (in units: `z_mm`), and those of `extra`.

    Args:
        path: the file.
        landmarks: in voxels, or physical with a unit; missing ones have empty cells.
    """
    suffix = "" if landmarks.frame == VOXELS else f"_{landmarks.unit}"
    axes = "zyx"[-landmarks.points.shape[1] :]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([NAME, *(f"{axis}{suffix}" for axis in axes), *landmarks.extra])
        for n, (name, point) in enumerate(zip(landmarks.names, landmarks.points.tolist(), strict=True)):
            cells = ["" if landmarks.missing[n] else value for value in point]
            writer.writerow([name, *cells, *(values[n] for values in landmarks.extra.values())])


def _coordinates(columns: Sequence[str], path: Path) -> tuple[dict[str, str], str | None]:
    """Column of each axis, and the unit; `None` for voxels."""
    found = {match[1]: (column, match[2]) for column in columns if (match := _COORDINATE.fullmatch(column))}
    units = {unit for _, unit in found.values()}
    if not {"y", "x"} <= set(found) or len(units) != 1:
        raise ValueError(
            f"{path}, line 1: expected columns z,y,x (voxels; 2D: y,x), or z_mm,y_mm,x_mm (physical, also in um, nm), "
            f"or i,j,k (voxels in NIfTI's order); got {','.join(columns)}"
        )
    (unit,) = units
    return {axis: column for axis, (column, _) in found.items()}, unit_symbol(unit)


def _number(row: Mapping[str, str | None], column: str, where: str) -> float:
    text = (row[column] or "").strip()
    try:
        return float(text) if text else np.nan
    except ValueError:
        raise ValueError(f"{where}: column {column} must be a number, or empty; got {text!r}") from None
