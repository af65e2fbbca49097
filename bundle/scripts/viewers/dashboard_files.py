"""Files that a training leaves for its dashboard: written as a whole, read without leaving the run's folder."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORD_FILE = "run.json"
STEPS_FILE = "steps.csv"
WORST_FILE = "worst_patches.json"
HISTORY_FILE = "history.csv"
PREVIEW_FOLDER = "previews"
SLICES_SUFFIX = "_slices.json"


def replace_text(path: Path, text: str) -> None:
    """Write a text file beside its place and move it there: who reads it meets the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def as_json(value: Any) -> str:
    """JSON that a browser reads: numbers that are not finite become null, what JSON does not know becomes text."""
    return json.dumps(_plain(value), allow_nan=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def file_inside(folder: Path, *names: str) -> Path | None:
    """A file of a folder; `None` where there is none, or where links lead out of the folder."""
    root = folder.resolve()
    path = root.joinpath(*names).resolve()
    return path if path.is_file() and path.is_relative_to(root) else None


def read_json(folder: Path, *names: str) -> dict[str, Any] | None:
    """A JSON object of a file of a folder; `None` where there is none, or nothing that can be read."""
    path = file_inside(folder, *names)
    if path is None:
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def read_steps(path: Path) -> list[tuple[int, float]]:
    """Rows of a step log: the last iteration of each, and its mean loss."""
    with path.open(newline="") as file:
        return [(int(row["iteration"]), float(row["loss"])) for row in csv.DictReader(file)]
