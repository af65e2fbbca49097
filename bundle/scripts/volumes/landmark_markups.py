"""Landmarks as 3D Slicer keeps them: `.mrk.json`, and `.fcsv` of earlier versions."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .grid import unit_symbol
from .landmarks import RAS, Landmarks, numbered, whole_or_missing

_SYSTEMS = {"RAS": 1.0, "LPS": -1.0, "0": 1.0, "1": -1.0}
"""Sign of x and y in RAS; versions before 4.11 wrote numbers."""

_UNPLACED = ("undefined", "preview", "missing")

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)

DESCRIPTION = "description"


def read_markups(path: Path) -> Landmarks:
    """Read the control points of the point lists of a `.mrk.json`, in its order.

    Positions are LPS where the file does not say RAS. A control point that is not placed is missing. Its label is its
    name, its description, where any has one, goes to `extra`.

    Raises:
        ValueError: for what is no such file, and a coordinate system other than LPS and RAS.
    """
    try:
        content = json.loads(path.read_text())
        lists = [one for one in content["markups"] if one.get("type", "Fiducial") == "Fiducial"]
        controls = [(one, point) for one in lists for point in one["controlPoints"]]
        points = [_position(one, point, path) for one, point in controls]
        units = {_unit(one) for one in lists}
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: no markups file of 3D Slicer: {type(error).__name__} {error}") from error
    labels = [str(point.get("label") or "") for _, point in controls]
    descriptions = [str(point.get(DESCRIPTION) or "") for _, point in controls]
    if len(units) > 1:
        raise ValueError(f"{path}: its lists are in different units: {', '.join(sorted(map(str, units)))}")
    unit = units.pop() if units else "mm"
    return _landmarks(labels, points, descriptions, unit, path)


def read_fcsv(path: Path) -> Landmarks:
    """Read a `.fcsv`, whose first lines state the coordinate system and the columns.

    Raises:
        ValueError: for a file without these lines, and a coordinate system other than LPS and RAS.
    """
    header: dict[str, str] = {}
    rows = []
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            name, _, value = line.lstrip("# ").partition("=")
            header[name.strip()] = value.strip()
        elif line.strip():
            rows.append(line)
    columns = header.get("columns", "").split(",")
    if "CoordinateSystem" not in header or not {"x", "y", "z", "label"} <= set(columns):
        raise ValueError(
            f"{path}: expected lines '# CoordinateSystem = LPS' and '# columns = id,x,y,z,...,label,...' before the "
            f"points; found {', '.join(header) or 'none'}"
        )
    sign = _sign(header["CoordinateSystem"], path)
    labels, points, descriptions = [], [], []
    for row in csv.reader(rows):
        values = dict(zip(columns, row, strict=False))
        try:
            x, y, z = (float(values[axis]) for axis in "xyz")
        except (KeyError, ValueError):
            raise ValueError(f"{path}: expected numbers x, y, z in the line {','.join(row)!r}") from None
        labels.append(values.get("label", ""))
        points.append([z, sign * y, sign * x])
        descriptions.append(values.get("desc", ""))
    return _landmarks(labels, points, descriptions, "mm", path)


def write_markups(path: Path, landmarks: Landmarks) -> None:
    """Write a `.mrk.json` with one point list, in LPS.

    Args:
        path: the file.
        landmarks: in the frame `ras`; missing ones are control points that are not placed.
    """
    descriptions = landmarks.extra.get(DESCRIPTION, [""] * len(landmarks.names))
    controls = []
    for n, (name, point) in enumerate(zip(landmarks.names, landmarks.points.tolist(), strict=True)):
        z, y, x = point
        is_missing = bool(landmarks.missing[n])
        place: dict[str, Any] = {} if is_missing else {"position": [-x, -y, z]}
        controls.append(
            {"id": str(n + 1), "label": name, DESCRIPTION: str(descriptions[n]), **place}
            | {"positionStatus": "undefined" if is_missing else "defined"}
        )
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": landmarks.unit or "mm",
        "controlPoints": controls,
    }
    path.write_text(json.dumps({"@schema": _SCHEMA, "markups": [markup]}, indent=1) + "\n")


def _landmarks(
    labels: Sequence[str], points: Sequence[Sequence[float]], descriptions: Sequence[str], unit: str | None, path: Path
) -> Landmarks:
    if not points:
        raise ValueError(f"{path}: holds no landmark; expected a point list with at least one control point")
    names = [label or number for label, number in zip(labels, numbered(len(labels)), strict=True)]
    places: NDArray[np.float64] = np.array(points, np.float64)
    extra = {DESCRIPTION: list(descriptions)} if any(descriptions) else {}
    return Landmarks(tuple(names), whole_or_missing(places), RAS, unit, extra)


def _position(markup: Mapping[str, Any], control: Mapping[str, Any], path: Path) -> list[float]:
    """z, y, x of a control point in RAS."""
    if control.get("positionStatus", "defined") in _UNPLACED or not control.get("position"):
        return [np.nan] * 3
    sign = _sign(markup.get("coordinateSystem", "LPS"), path)
    try:
        x, y, z = (float(value) for value in control["position"])
    except (TypeError, ValueError):
        raise ValueError(f"{path}: expected a position [x, y, z]; got {control['position']!r}") from None
    return [z, sign * y, sign * x]


def _sign(system: Any, path: Path) -> float:
    if str(system) not in _SYSTEMS:
        raise ValueError(f"{path}: the coordinate system must be LPS or RAS; got {system!r}")
    return _SYSTEMS[str(system)]


def _unit(markup: Mapping[str, Any]) -> str | None:
    """A word, or a coded entry [code, scheme, meaning]."""
    unit = markup.get("coordinateUnits", "mm")
    return unit_symbol(unit if isinstance(unit, str) else str(unit[0]))
