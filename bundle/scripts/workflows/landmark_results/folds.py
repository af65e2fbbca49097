"""Scores of a cross-validation: each fold, their mean and spread, and all images together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from .case import check_alike
from .predictions import read_cases
from .results import PREDICTIONS
from .sheets import write_csv
from .summary import LANDMARK, Row, summary_rows

FOLDS_SUMMARY = "folds_summary.csv"
FOLD = "fold"


def pool_summaries(folders: Sequence[str | Path], output: str | Path | None = None) -> list[Row]:
    """Scores over the results of several folds.

    For all landmarks together, then for each: a row of each fold, named by its folder, of their `mean` and `sd` (of a
    sample, n - 1; folds in which a number is not known do not count), and `pooled`: over all images together. Radii are
    those of the folds.

    Args:
        folders: of `LandmarkResults`, one per fold.
        output: folder that gets the rows as `folds_summary.csv`; `None`: nothing is written.

    Raises:
        FileNotFoundError: for a folder without results.
        ValueError: without any folder, for one that is named twice, and for folds with other landmarks, methods or
            radii.
    """
    paths = [Path(folder) for folder in folders]
    if not paths or len({path.resolve() for path in paths}) < len(paths):
        raise ValueError(f"expected different folders, one per fold; got {[str(path) for path in paths]}")
    results = [read_cases(path / PREDICTIONS) for path in paths]
    (first, *_), settings = results[0]
    for path, (cases, own) in zip(paths, results, strict=True):
        check_alike(cases[0], first, in_summary=True)
        if own != settings:
            raise ValueError(f"{path} has {own}, but {paths[0]} has {settings}; write both with the same radii")
    radii = settings["radii"], settings["radii_physical"]
    summaries = [summary_rows(cases, *radii) for cases, _ in results]
    pooled = summary_rows([case for cases, _ in results for case in cases], *radii)
    rows: list[Row] = []
    for whole, *folds in zip(pooled, *summaries, strict=True):
        head = {LANDMARK: whole[LANDMARK]}
        rows += [head | {FOLD: name} | fold for name, fold in zip(_names(paths), folds, strict=True)]
        known = {name: _known(folds, name) for name in whole if name != LANDMARK}
        rows.append(head | {FOLD: "mean"} | {name: fmean(values) for name, values in known.items() if values})
        rows.append(head | {FOLD: "sd"} | {name: stdev(values) for name, values in known.items() if len(values) > 1})
        rows.append(head | {FOLD: "pooled"} | whole)
    if output is not None:
        Path(output).mkdir(parents=True, exist_ok=True)
        write_csv(Path(output) / FOLDS_SUMMARY, rows)
    return rows


def _known(folds: Sequence[Row], name: str) -> list[float]:
    return [fold[name] for fold in folds if name in fold and not math.isnan(fold[name])]


def _names(paths: Sequence[Path]) -> list[str]:
    """What tells the folders apart: the parts of their paths in which they differ."""
    parts = [path.resolve().parts for path in paths]
    if len({len(each) for each in parts}) > 1 or len(parts) == 1:
        return [str(path) for path in paths]
    differing = [len(set(column)) > 1 for column in zip(*parts, strict=True)]
    return ["/".join(part for part, differs in zip(each, differing, strict=True) if differs) for each in parts]
