"""The report of an evaluation: what it says, and where that comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...metrics import CELLMAP_VERSION
from ...metrics.object_overlaps import object_overlaps
from ...viewers import PictureSection, Score
from ...viewers.score_report import ScorePage, ScoreTable, write_score_report
from ...viewers.score_report_histogram import Histogram
from .measures import INSTANCE
from .open import OpenCase
from .result import Evaluation
from .rows import Row
from .tables import best_numbers, format_number, shown_columns
from .tally import Tally

_MOST_CLASSES = 6
"""Classes whose objects are shown as histograms, those with most objects."""

_FEWEST_CROPS = 5
"""Numbers from which on their distribution says something."""

_MOST_CARDS = 4

_MOST_ROWS = 2000


def write_evaluation_report(
    path: Path,
    result: Evaluation,
    cases: Sequence[OpenCase],
    tallies: Sequence[Sequence[Tally]],
    worst: Sequence[PictureSection],
) -> Path:
    """Write the page.

    Args:
        path: the file.
        result: the scores.
        cases: what was compared.
        tallies: of every case and prediction.
        worst: pictures.

    Returns:
        the path.
    """
    n_crops = len({(opened.case.dataset, opened.case.crop) for opened in cases})
    labels = list(dict.fromkeys(opened.case.label for opened in cases))
    voxels = sum(of_case[0].voxels for of_case in tallies)
    page = ScorePage(
        title=f"Scores of {', '.join(result.names)}",
        introduction=(
            f"{_count(len(result.names), 'prediction')} against the truth: {_count(len(labels), 'class', 'es')}, "
            f"{_count(n_crops, 'crop')}, {voxels:,} voxels whose truth is known."
        ),
        scores=_cards(result),
        tables=[_class_table(result), _crop_table(result)],
        meanings=[(name, column.meaning) for name, column in result.columns.items()],
        histograms=[*_object_histograms(result, cases, tallies), *_crop_histograms(result)],
        worst=worst,
        summary=[(name, _in_words(value)) for name, value in result.settings.items() if value is not None],
    )
    return write_score_report(path, page)


def _cards(result: Evaluation) -> list[Score]:
    """The numbers of the last class in the table, which is the mean where there are several; of the best prediction."""
    rows = [row for row in result.classes if row.label == result.classes[-1].label]
    several = len(result.names) > 1
    cards = []
    if result.overall:
        name = max(result.overall, key=lambda name: (not math.isnan(result.overall[name]), result.overall[name]))
        meaning = f"CellMap challenge {CELLMAP_VERSION}: root of the means over classes of objects and of masks."
        cards.append(Score("overall", format_number(result.overall[name]), _of_best(name, meaning, several)))
    for column in _first_columns(rows, result)[:_MOST_CARDS]:
        known = [row for row in rows if not math.isnan(row.numbers.get(column, math.nan))]
        about = result.columns[column]
        if known:
            sign = -1 if about.lower_is_better else 1
            row = max(known, key=lambda row: sign * row.numbers[column])
            title = column if len(result.classes) == len(rows) else f"{column}, {row.label}"
            value = format_number(row.numbers[column])
            is_best = several and [each.numbers[column] for each in known].count(row.numbers[column]) == 1
            cards.append(Score(title, value, _of_best(row.prediction, about.meaning, is_best)))
    return cards


def _first_columns(rows: Sequence[Row], result: Evaluation) -> list[str]:
    """The first number of every metric: the others are parts of it."""
    return [name for name in shown_columns(rows, result.columns) if not name.startswith("voi_")]


def _of_best(name: str, meaning: str, is_best: bool) -> str:
    return f"Best: {name}. {meaning}" if is_best else meaning


def _class_table(result: Evaluation) -> ScoreTable:
    names = shown_columns(result.classes, result.columns)
    best = best_numbers(result.classes, result.columns)
    several = len(result.names) > 1
    words = ["class", "prediction"] if several else ["class"]
    return ScoreTable(
        "Scores by class",
        "Voxels and objects of all crops together." + (" The best number of a class stands out." if several else ""),
        [*words, "crops", *names],
        [
            [
                row.label, *([row.prediction] if several else []), str(row.crops or ""),
                *(format_number(row.numbers.get(name)) for name in names),
            ]
            for row in result.classes
        ],
        frozenset((n, len(words) + 1 + names.index(name)) for n, name in best if name in names),
        len(words),
        notes=[
            f"{row.label}{f', {row.prediction}' if several else ''}: {row.note}" for row in result.classes if row.note
        ],
    )  # fmt: skip


def _crop_table(result: Evaluation) -> ScoreTable:
    rows = result.crops[:_MOST_ROWS]
    names = [name for name in result.columns if any(name in row.numbers for row in rows)]
    best = best_numbers(rows, result.columns)
    more = (
        f" The first {len(rows)} of {len(result.crops)}; scores.csv has all." if len(rows) < len(result.crops) else ""
    )
    return ScoreTable(
        f"All numbers: {_count(len(rows), 'row')} by crop, class and prediction",
        "Each crop by itself." + more,
        ["crop", "class", "prediction", "voxels", *names, "note"],
        [
            [
                _crop_title(row), row.label, row.prediction, f"{row.voxels:,}",
                *(format_number(row.numbers.get(name)) for name in names), row.note,
            ]
            for row in rows
        ],
        frozenset((n, 4 + names.index(name)) for n, name in best),
        3,
        is_folded=True,
    )  # fmt: skip


def _crop_title(row: Row) -> str:
    return "/".join(filter(None, (row.dataset, row.crop))) or "-"


def _object_histograms(
    result: Evaluation, cases: Sequence[OpenCase], tallies: Sequence[Sequence[Tally]]
) -> list[Histogram]:
    """IoU of true objects, and sizes of all, for each class of objects."""
    groups: dict[str, list[int]] = {}
    for number, opened in enumerate(cases):
        if opened.kind == INSTANCE:
            groups.setdefault(opened.case.label, []).append(number)
    found = []
    for label, members in groups.items():
        iou: dict[str, NDArray] = {}
        sizes: dict[str, NDArray] = {}
        for n, name in enumerate(result.names):
            objects = [_objects(tallies[number][n]) for number in members]
            iou[name], true, sizes[name] = (np.concatenate(values) for values in zip(*objects, strict=True))
        sizes["truth"] = true  # last, so that predictions have the same colours everywhere
        found.append((len(sizes["truth"]), label, iou, sizes))
    found.sort(key=lambda item: -item[0])
    histograms = []
    for count, label, iou, sizes in found[:_MOST_CLASSES]:
        if count:
            title = f"{label}: IoU of the {count:,} true objects with the segment that fits best"
            histograms.append(Histogram(title, "IoU", "true objects", iou, (0.0, 1.0)))
        if any(len(values) for values in sizes.values()):
            histograms.append(Histogram(f"{label}: sizes of objects", "voxels", "objects", sizes, is_logarithmic=True))
    return histograms


def _objects(tally: Tally) -> tuple[NDArray, NDArray, NDArray]:
    """Best IoU of each true object; sizes of true and of predicted objects."""
    overlaps = object_overlaps(tally.table)
    best = np.zeros(len(overlaps.truth_ids))
    np.maximum.at(best, overlaps.true, overlaps.iou)
    sizes = []
    for ids in (tally.table.truth, tally.table.prediction):
        _, place = np.unique(ids[ids != 0], return_inverse=True)
        sizes.append(np.bincount(place, weights=tally.table.voxels[ids != 0]))
    return best, sizes[0], sizes[1]


def _crop_histograms(result: Evaluation) -> list[Histogram]:
    """The first number of each kind over crops and classes."""
    histograms = []
    for kind in dict.fromkeys(row.kind for row in result.crops):
        rows = [row for row in result.crops if row.kind == kind]
        column = next(iter(shown_columns(rows, result.columns)), None)
        if column is None:
            continue
        series = {}
        for name in result.names:
            values = [row.numbers.get(column, math.nan) for row in rows if row.prediction == name]
            series[name] = [value for value in values if math.isfinite(value)]
        if all(len(values) >= _FEWEST_CROPS for values in series.values()):
            limits = (0.0, 1.0) if result.columns[column].is_share else None
            histograms.append(Histogram(f"{column} of crops ({kind})", column, "crops and classes", series, limits))
    return histograms


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {each}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _count(number: int, word: str, ending: str = "s") -> str:
    return f"{number:,} {word}{'' if number == 1 else ending}"
