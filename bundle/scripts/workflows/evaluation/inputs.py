"""What a command names: predictions with their titles, and the cases that they make with the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...patches.cellmap_paths import fits
from ...volumes.paths import short_name
from ..datasplit import as_list
from ..submissions.manifest import crop_folder
from .cases import Case, find_cases
from .list import read_cases

Predictions = str | Path | Sequence[str] | Mapping[str, str]


def named_cases(
    predictions: Predictions,
    truth: str | Path | None,
    names: str | Sequence[str] | None = None,
    *,
    classes: Any = "*",
    crops: Any = "*",
    datasets: Any = "*",
    image: str | None = None,
    mask: str | None = None,
) -> tuple[list[str], list[Case]]:
    """Titles of the predictions, and what is compared with what.

    Args:
        predictions: path or paths, a dictionary title -> path, or without a truth a JSON file (see `read_cases`).
        truth: path or pattern.
        names: titles of the predictions.
        classes: see `find_cases`.
        crops: see `find_cases`.
        datasets: see `find_cases`.
        image: see `find_cases`.
        mask: see `find_cases`.

    Raises:
        FileNotFoundError: where there is no truth.
        ValueError: for titles that do not fit, and as `find_cases` and `read_cases`.
    """
    keep = {
        "classes": _texts(classes), "crops": [crop_folder(crop) for crop in _texts(crops)], "datasets": _texts(datasets)
    }  # fmt: skip
    if truth is None:
        if isinstance(predictions, Mapping) or not str(predictions).endswith(".json"):
            raise ValueError(
                f"truth is missing; expected its path after the predictions ({predictions}), or a JSON file of cases "
                "alone"
            )
        if image is not None or mask is not None or names is not None:
            raise ValueError(f"image, mask and names are given by every case in {predictions}; leave these options out")
        titles, cases = read_cases(str(predictions))
        kept = [
            case
            for case in cases
            if fits(case.label, keep["classes"])
            and fits(case.crop, keep["crops"])
            and fits(case.dataset, keep["datasets"])
        ]
        if not kept:
            raise ValueError(f"{predictions}: none of its {len(cases)} cases fits {_said(keep)}")
        return titles, kept
    given = predictions if isinstance(predictions, Mapping) else {}
    paths = [str(path) for path in (given.values() if given else as_list(predictions))]
    if not paths:
        raise ValueError("predictions: got none; expected at least one path")
    titles = _titles(paths, list(given) if given else names)
    return titles, find_cases(paths, str(truth), image=image, mask=mask, **keep)


def _titles(paths: Sequence[str], names: str | Sequence[str] | None) -> list[str]:
    """A title for each path: its name, or where two have the same, the path."""
    if names is not None:
        titles = _texts(names)
        if len(titles) != len(paths) or len(set(titles)) != len(titles):
            raise ValueError(f"names: expected {len(paths)} different ones, for {', '.join(paths)}; got {titles}")
        return titles
    short = [short_name(path.partition("{")[0].rstrip("/")) or path for path in paths]
    if len(set(paths)) != len(paths):
        raise ValueError(f"predictions: {', '.join(paths)} holds a path twice")
    return short if len(set(short)) == len(short) else list(paths)


def _texts(values: Any) -> list[str]:
    """One or several names as texts; the command line makes numbers of some."""
    return [str(value) for value in as_list(values if isinstance(values, str | list | tuple) else [values])]


def _said(keep: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{key} {' '.join(values)}" for key, values in keep.items())
