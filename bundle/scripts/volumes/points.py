"""Annotated points: a label of which only some voxels are known, one a line of a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

POINTS_KEY = "points"
"""Key of a volume, a datum or a sample that names the file of its points."""


class Point(NamedTuple):
    """One annotated voxel.

    Attributes:
        z: index of the voxel along the first axis of the label's grid.
        y: along the second.
        x: along the third.
        label: its class, 0 is background.
        instance: id of the object that it lies in; 0: none, or not known.
    """

    z: int
    y: int
    x: int
    label: int
    instance: int = 0


def write_points(path: str | Path, points: Iterable[Point]) -> None:
    """Write points as CSV with the header `z,y,x,label,instance`, in the order given.

    Args:
        path: the file; its folder is made where it is missing.
        points: the rows.
    """
    target = Path(path)
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Point._fields)
        writer.writerows(points)


def read_points(path: str | Path, shape: Sequence[int] | None = None) -> list[Point]:
    """Read what `write_points` wrote, or a person did: columns in any order, further ones are left out.

    Args:
        path: the file.
        shape: D, H, W of the volume that the points belong to; `None`: not checked.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: for a column that is missing, and, with the number of the line, for what is no whole number of at
            least 0, lies outside of the volume, or names a voxel a second time; for a file without any point.
    """
    source = Path(path)
    points: list[Point] = []
    lines: dict[tuple[int, int, int], int] = {}
    with source.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        columns = [name.strip() for name in reader.fieldnames or ()]
        if missing := [name for name in Point._fields if name not in columns]:
            raise ValueError(
                f"{source}, line 1: has no column {', '.join(missing)}; expected the header "
                f"{','.join(Point._fields)}, got {','.join(columns) or 'nothing'}"
            )
        reader.fieldnames = columns
        for row in reader:
            where = f"{source}, line {reader.line_num}"
            point = Point(*(_whole_number(row, name, where) for name in Point._fields))
            if shape is not None and not all(at < n for at, n in zip(point, shape, strict=False)):
                raise ValueError(
                    f"{where}: the point {list(point[:3])} lies outside of the volume of shape {list(shape)} (z y x)"
                )
            first = lines.setdefault(point[:3], reader.line_num)
            if first != reader.line_num:
                raise ValueError(f"{where}: the voxel {list(point[:3])} stands in line {first} already")
            points.append(point)
    if not points:
        raise ValueError(f"{source}: holds no point; expected at least one line after the header")
    return points


def _whole_number(row: Mapping[Any, Any], name: str, where: str) -> int:
    text = (row[name] or "").strip()
    try:
        number = int(text)
    except ValueError:
        number = -1
        text = repr(text)
    if number < 0:
        raise ValueError(f"{where}: column {name} must be a whole number of at least 0; got {text}")
    return number
