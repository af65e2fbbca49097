"""Files of LaNNU-Net and MediMarker that list images with their landmarks, fold by fold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..geometry import IMAGE_KEY
from ..volumes import LANDMARKS_KEY, is_url
from .landmark_rows import EXTRA_KEY, ID_KEY

_SPLITS = {"training": "train", "validation": "val", "testing": "test"}

_ANNOTATED, _COORDINATES = "has_annotation", "coordinates"

WHOLE_FILE = -1
"""Fold that stands for the file as it is."""


def read_landmark_folds(
    path: str | Path,
    fold: int = WHOLE_FILE,
    *,
    root: str | Path | None = None,
    landmarks: Sequence[int] | None = None,
    splits: Sequence[str] = ("train", "val"),
) -> list[dict[str, Any]]:
    """Read a JSON file of LaNNU-Net into a `volumes` table.

    `{"training": [...], "validation": [...], "testing": [...]}` of samples `{"id", "image", "coordinates": [[x, y],
    ...] or null, "has_annotation"}`; [x, y, z] in 3D, and null for a landmark that is missing.

    Args:
        path: the file, or the folder of `fold0.json`, `fold1.json`, ...
        fold: which file of the folder; -1: `path` is the file.
        root: folder that images are relative to; `None`: that of the file.
        landmarks: which ones to use, counted from 0, in this order; `None`: all.
        splits: which of `train`, `val` and `test` to return. Only `train` and `val` may stand in a `volumes` table.

    Returns:
        `{"image": PATH, "landmarks": [[z, y, x] (2D: [y, x]) or None, ...] or None, "id": ..., "split": ...,
        "extra": {...}}`, where `extra` holds the sample's further keys, if there are any.

    Raises:
        FileNotFoundError: if the file does not exist; names the folds that do.
        ValueError: with every fault of the file: ids that occur twice, samples without image or id, coordinates that
            are none, are in 2D beside 3D, or differ in number, and samples without annotation that are to train or
            validate.
    """
    source = _file_of(Path(path), fold)
    try:
        content = json.loads(source.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{source}, line {error.lineno}: no JSON: {error.msg}") from error
    if not isinstance(content, Mapping) or not any(isinstance(content.get(part), list) for part in _SPLITS):
        found = ", ".join(content) if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(f"{source}: expected a dictionary with lists {', '.join(_SPLITS)}; found {found}")
    folder = source.parent if root is None else Path(root)
    rows, faults = [], []
    for part, split in _SPLITS.items():
        for number, sample in enumerate(content.get(part) or []):
            try:
                rows.append(_row(sample, split, folder, landmarks))
            except ValueError as error:
                name = sample.get(ID_KEY) if isinstance(sample, Mapping) else None
                faults.append(f"{part}[{number}]" + (f" (id '{name}')" if name is not None else "") + f": {error}")
    faults += _table_faults(rows)
    if faults:
        raise ValueError("\n".join(f"{source}: {fault}" for fault in faults))
    return [row for row in rows if row["split"] in splits]


def _file_of(path: Path, fold: int) -> Path:
    file = path if fold == WHOLE_FILE else path / f"fold{fold}.json"
    if file.is_file():
        return file
    folder = path if path.is_dir() else file.parent
    there = sorted(one.name for one in folder.glob("*.json")) if folder.is_dir() else []
    raise FileNotFoundError(f"{file} is no file; JSON files in {folder}: {', '.join(there) or 'none'}")


def _row(sample: Any, split: str, folder: Path, wanted: Sequence[int] | None) -> dict[str, Any]:
    if not isinstance(sample, Mapping) or sample.get(IMAGE_KEY) is None or sample.get(ID_KEY) is None:
        raise ValueError(f"expected a dictionary with '{ID_KEY}' and '{IMAGE_KEY}'; got {sample!r}")
    image = str(sample[IMAGE_KEY])
    is_placed = is_url(image) or Path(image).is_absolute()
    coordinates = sample.get(_COORDINATES) if sample.get(_ANNOTATED, True) else None
    if coordinates is None and split != "test":
        raise ValueError("has no annotation, so that nothing can be learnt from it; move it to 'testing'")
    row = {
        IMAGE_KEY: image if is_placed else str(folder / image),
        LANDMARKS_KEY: None if coordinates is None else _reversed(coordinates, wanted),
        ID_KEY: str(sample[ID_KEY]),
        "split": split,
    }
    known = (IMAGE_KEY, ID_KEY, _COORDINATES, _ANNOTATED)
    extra = {key: value for key, value in sample.items() if key not in known}
    return row | ({EXTRA_KEY: extra} if extra else {})


def _reversed(coordinates: Any, wanted: Sequence[int] | None) -> list[list[float] | None]:
    """Points x, y[, z] as z, y, x."""
    if not isinstance(coordinates, list) or not coordinates:
        raise ValueError(f"coordinates: expected a list of [x, y], or null; got {coordinates!r}")
    points = []
    for n, point in enumerate(coordinates):
        if point is not None and not (isinstance(point, list) and len(point) in (2, 3) and all(map(_is_place, point))):
            raise ValueError(f"coordinates[{n}]: expected [x, y], [x, y, z] or null; got {point!r}")
        points.append(None if point is None or None in point else [float(value) for value in point[::-1]])
    if wanted is None:
        return points
    if not all(0 <= n < len(points) for n in wanted):
        raise ValueError(f"landmarks = {list(wanted)} asks for numbers from 0; there are {len(points)} coordinates")
    return [points[n] for n in wanted]


def _is_place(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _table_faults(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    faults = []
    first: dict[str, str] = {}
    counts: dict[int, str] = {}
    dims: dict[int, str] = {}
    for row in rows:
        name, split = row[ID_KEY], row["split"]
        if name in first:
            faults.append(f"id '{name}' occurs twice, in {first[name]} and in {split}; ids must be unique")
        first.setdefault(name, split)
        if row[LANDMARKS_KEY] is not None:
            counts.setdefault(len(row[LANDMARKS_KEY]), name)
            for point in row[LANDMARKS_KEY]:
                if point is not None:
                    dims.setdefault(len(point), name)
    for found, what in ((counts, "{} landmarks"), (dims, "landmarks in {}D")):
        if len(found) > 1:
            said = ", ".join(f"'{name}' has {what.format(n)}" for n, name in found.items())
            faults.append(f"all samples must have the same: {said}")
    return faults
