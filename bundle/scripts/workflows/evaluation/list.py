"""A list of what is compared with what, as a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ...geometry import did_you_mean
from ...volumes import is_url
from ...volumes.paths import short_name
from .cases import Case, Region

_KEYS = {"class": "label", "prediction": "predictions"}  # as a person calls them
_PATHS = ("truth", "image", "mask")
_NAMES = [{value: key for key, value in _KEYS.items()}.get(field.name, field.name) for field in fields(Case)]


def read_cases(path: str | Path) -> tuple[list[str], list[Case]]:
    """Read a list of dictionaries with `truth`, `prediction`, and perhaps `class`, `crop`, `dataset`, `image`, `mask`,
    `kind` and `region`.

    `prediction` is a path, or a dictionary name -> path where several are compared; a name that is left out, or `null`,
    is a class that this prediction lacks. Paths are relative to the file.

    Returns:
        names of the predictions, in the order in which they first come, and the cases.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: for another content; all faults at once.
    """
    source = Path(path)
    try:
        content = json.loads(source.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{source}: no JSON: {error}") from error
    if not isinstance(content, list) or not content or not all(isinstance(entry, dict) for entry in content):
        raise ValueError(f"{source}: expected a list of dictionaries with truth and prediction; got {content!r:.60}")
    faults = [f"{source}, case {n}: {fault}" for n, entry in enumerate(content) for fault in _faults(entry)]
    if faults:
        raise ValueError("\n".join(faults))
    given = [_by_name(entry["prediction"]) for entry in content]
    names = list(dict.fromkeys(name for paths in given for name in paths))
    return names, [
        _case(entry, [paths.get(name) for name in names], source.parent)
        for entry, paths in zip(content, given, strict=True)
    ]


def as_region(values: Any) -> Region | None:
    """A box `[[z0, y0, x0], [z1, y1, x1]]`.

    Raises:
        ValueError: for anything else than two times three whole numbers.
    """
    if values is None:
        return None
    try:
        (z0, y0, x0), (z1, y1, x1) = ([int(n) for n in corner if n == int(n)] for corner in values)
    except (TypeError, ValueError):
        raise ValueError(
            f"region: expected [[z0, y0, x0], [z1, y1, x1]] in voxels of the truth; got {values}"
        ) from None
    return (z0, y0, x0), (z1, y1, x1)


def _faults(entry: Mapping[str, Any]) -> list[str]:
    faults = [f"'{key}' is missing" for key in ("truth", "prediction") if key not in entry]
    faults += [
        f"unknown key '{key}'{did_you_mean(key, _NAMES)}; keys are {', '.join(_NAMES)}"
        for key in entry
        if key not in _NAMES
    ]
    texts = [(key, entry[key]) for key in _NAMES if key in entry and key not in ("prediction", "region")]
    given = entry.get("prediction")
    texts += [("prediction", path) for path in (given.values() if isinstance(given, dict) else [given])]
    faults += [f"{key}: expected text, got {value!r}" for key, value in texts if not isinstance(value, str | None)]
    return faults


def _by_name(prediction: str | dict[str, str | None] | None) -> dict[str, str | None]:
    return prediction if isinstance(prediction, dict) else {"prediction": prediction}


def _case(entry: Mapping[str, Any], predictions: list[str | None], folder: Path) -> Case:
    values = {_KEYS.get(key, key): value for key, value in entry.items()}
    values |= {key: _resolved(values[key], folder) for key in _PATHS if key in values}
    values["predictions"] = tuple(_resolved(path, folder) for path in predictions)
    values.setdefault("label", short_name(values["truth"]).rpartition("/")[2])
    values["region"] = as_region(values.get("region"))
    return Case(**values)


def _resolved(path: str | None, folder: Path) -> str | None:
    return path if path is None or is_url(path) else str(folder / path)
