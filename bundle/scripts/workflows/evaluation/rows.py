"""Scores as rows: per crop and class, and per class over all crops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...metrics import cellmap_overall_score
from .measures import CLASSES, LABELS, Measure, measures_of
from .open import OpenCase
from .tally import Tally, class_ids, numbers

MEAN = "mean of classes"


@dataclass(frozen=True)
class Row:
    """Scores of one prediction.

    Args:
        prediction: its name.
        dataset: empty over several.
        crop: empty over several.
        label: the class.
        kind: how its values were read.
        crops: how many count.
        voxels: whose truth is known.
        numbers: by column; columns that do not fit the kind are left out.
        note: what else to know.
    """

    prediction: str
    dataset: str
    crop: str
    label: str
    kind: str
    crops: int
    voxels: int
    numbers: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


def crop_rows(
    cases: Sequence[OpenCase],
    tallies: Sequence[Sequence[Tally]],
    names: Sequence[str],
    measures: Sequence[Measure],
    class_names: Mapping[int, str],
) -> list[Row]:
    """A row for each crop, class and prediction; predictions of one crop and class stand together."""
    rows = []
    for opened, of_case in zip(cases, tallies, strict=True):
        case, wanted = opened.case, measures_of(opened.kind, measures)
        for class_id, label in _classes(opened, of_case, class_names):
            for n, (name, tally) in enumerate(zip(names, of_case, strict=True)):
                found, remarks = numbers([tally], opened.kind, wanted, class_id, list(class_names))
                rows.append(
                    Row(
                        name, case.dataset, case.crop, label, opened.kind, 1, tally.voxels, found,
                        "; ".join(_remarks(opened, n) + remarks),
                    )
                )  # fmt: skip
    return rows


def class_rows(
    cases: Sequence[OpenCase],
    tallies: Sequence[Sequence[Tally]],
    names: Sequence[str],
    measures: Sequence[Measure],
    class_names: Mapping[int, str],
) -> list[Row]:
    """A row for each class and prediction, over all crops; after several classes, their mean."""
    groups: dict[tuple[str, str], list[int]] = {}
    for number, opened in enumerate(cases):
        groups.setdefault((opened.case.label, opened.kind), []).append(number)
    rows, of_groups = [], []
    for (_, kind), members in groups.items():
        every = [tally for number in members for tally in tallies[number]]
        for class_id, label in _classes(cases[members[0]], every, class_names):
            for n, name in enumerate(names):
                of_crops = [tallies[number][n] for number in members]
                found, remarks = numbers(of_crops, kind, measures_of(kind, measures), class_id, list(class_names))
                lacking = sum(cases[number].predictions[n] is None for number in members)
                if lacking:
                    remarks = [f"missing in {lacking} of {len(members)} crops", *remarks]
                voxels = sum(tally.voxels for tally in of_crops)
                rows.append(Row(name, "", "", label, kind, len(members), voxels, found, "; ".join(remarks)))
                if class_id is None:
                    of_groups.append(rows[-1])
    return [*rows, *_mean_rows(of_groups, names)] if len(groups) > 1 else rows


def overall_scores(rows: Sequence[Row], names: Sequence[str]) -> dict[str, float]:
    """Overall score of the CellMap challenge by prediction, of the rows of classes; none without its metric."""
    found = {}
    for name in names:
        scores = {
            row.label: row.numbers["cellmap"] for row in rows if row.prediction == name and "cellmap" in row.numbers
        }
        scores.pop(MEAN, None)
        if scores:
            found[name] = cellmap_overall_score(scores)
    return found


def _classes(
    opened: OpenCase, tallies: Sequence[Tally], class_names: Mapping[int, str]
) -> list[tuple[int | None, str]]:
    """Numbers and names of the rows of a case: of its classes where it has several, and all together."""
    if opened.kind != CLASSES:
        return [(None, opened.case.label)]
    ids = list(class_names) or class_ids(tallies)
    each: list[tuple[int | None, str]] = [(n, class_names.get(n, f"{opened.case.label} {n}")) for n in ids]
    return [*each, (None, opened.case.label)]


def _remarks(opened: OpenCase, n: int) -> list[str]:
    if opened.predictions[n] is None:
        return ["missing, scored as empty"]
    covered = opened.covered(n)
    if covered < 1 and opened.kind in LABELS:
        return [f"covers {covered:.3%} of the truth; the rest counts as background"]
    return []


def _mean_rows(rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    means = []
    for name in names:
        own = [row for row in rows if row.prediction == name]
        found = {}
        for column in dict.fromkeys(column for row in own for column in row.numbers):
            values = [row.numbers[column] for row in own if column in row.numbers]
            known = [value for value in values if not math.isnan(value)]
            found[column] = math.fsum(known) / len(known) if known else math.nan
        means.append(Row(name, "", "", MEAN, "", 0, 0, found))
    return means
