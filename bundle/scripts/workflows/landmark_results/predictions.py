"""All that is known of images and what was found in them, as one JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .case import Floats, LandmarkCase


def write_cases(path: Path, cases: Sequence[LandmarkCase], settings: Mapping[str, Any]) -> None:
    """Write all that is known of images as JSON, which `read_cases` reads; `null` where a number is not known."""
    images = {
        case.name: {
            "path": case.path,
            "shape": list(case.shape),
            "grid_shape": list(case.grid_shape),
            "input_shape": list(case.input_shape),
            "spacing": list(case.spacing),
            "translation": list(case.translation),
            "unit": case.unit,
            "truth": None if case.truth is None else _listed(case.truth),
            "found": {
                method: {"points": _listed(points), "uncertainty": _listed(numbers)}
                for method, (points, numbers) in case.found.items()
            },
            "members": {member: _listed(points) for member, points in case.members.items()},
            "columns": {name: _listed(numbers) for name, numbers in case.columns.items()},
            "extra": {key: plain(value) for key, value in case.extra.items()},
        }
        for case in cases
    }
    content = {"landmarks": list(cases[0].landmarks), **settings, "images": images}
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    partial.replace(path)


def read_cases(path: Path) -> tuple[list[LandmarkCase], dict[str, Any]]:
    """Read what `write_cases` wrote.

    Returns:
        the images, and the settings.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: for a file that holds something else.
    """
    try:
        content = json.loads(path.read_text())
        landmarks, images = tuple(content.pop("landmarks")), content.pop("images")
        return [_case(name, landmarks, image) for name, image in images.items()], content
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path}: expected the predictions.json of landmark results; {type(error).__name__} {error}"
        ) from error


def plain(value: Any) -> Any:
    """Anything as JSON can hold it: arrays as lists, what is not known as text; `None` for NaN, infinite as text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _case(name: str, landmarks: tuple[str, ...], image: Mapping[str, Any]) -> LandmarkCase:
    count = len(landmarks)
    return LandmarkCase(
        name,
        image["path"],
        tuple(image["shape"]),
        tuple(image["grid_shape"]),
        tuple(image["input_shape"]),
        tuple(image["spacing"]),
        image["unit"],
        landmarks,
        None if image["truth"] is None else _array(image["truth"], (count, 3)),
        {
            method: (_array(each["points"], (count, 3)), _array(each["uncertainty"], (count,)))
            for method, each in image["found"].items()
        },
        {member: _array(points, (count, 3)) for member, points in image["members"].items()},
        {column: _array(numbers, (count,)) for column, numbers in image["columns"].items()},
        image["extra"],
        tuple(image["translation"]),
    )


def _listed(values: Floats) -> list[Any]:
    """Points or numbers; `None` for a point that lacks a coordinate."""
    array = np.asarray(values, np.float64)
    if array.ndim == 2:
        return [None if np.isnan(point).any() else plain(point) for point in array]
    return list(plain(array))


def _array(values: Sequence[Any], shape: tuple[int, ...]) -> Floats:
    empty = [math.nan] * 3 if len(shape) == 2 else math.nan
    return np.array([empty if value is None else value for value in values], np.float64).reshape(shape)
