"""What is known of a prediction after some blocks, or all: it adds up, and the scores follow from it."""

from __future__ import annotations

import copy
import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...metrics import (
    Contingency,
    Counts,
    Metric,
    adapted_rand,
    cellmap_class_score,
    cellmap_semantic_score,
    class_overlaps,
    match_objects,
    matching_scores,
    mean_average_precision,
    variation_of_information,
)
from .measures import CLASSES, INSTANCE, Measure
from .whole import SurfaceScores

N_WORST = 6
"""Blocks that are kept to be looked at, those with most errors."""

_NUMBERS = ("mae", "r2", "epe", "angle")

_OF_MATCHING = {
    "f1": {"f1": "f1", "precision": "precision", "recall": "recall"},
    "pq": {"pq": "panoptic_quality", "sq": "segmentation_quality"},
    "ap": {"ap": "average_precision"},
}

Triplet = tuple[int, int, int]


@dataclass
class Tally:
    """Sums over the voxels of one prediction of one case.

    Args:
        voxels: those whose truth is known.
        table: pairs of predicted and true label.
        metrics: sums of measures of numbers and probabilities, by name.
        surfaces: by class.
        challenge: counts of the CellMap challenge.
        worst: error and first voxel of the blocks with most errors, the worst first.
    """

    voxels: int = 0
    table: Contingency = field(default_factory=Contingency)
    metrics: dict[str, Metric] = field(default_factory=dict)
    surfaces: dict[int, SurfaceScores] = field(default_factory=dict)
    challenge: dict[str, float] | None = None
    worst: list[tuple[float, Triplet]] = field(default_factory=list)

    def merge(self, other: Tally) -> None:
        """Add what another part of the case has; a part measures surfaces and the challenge's counts completely."""
        self.voxels += other.voxels
        self.table.merge(other.table)
        for name, metric in other.metrics.items():
            if name in self.metrics:
                self.metrics[name].merge(metric)
            else:
                self.metrics[name] = metric
        self.surfaces |= other.surfaces
        self.challenge = self.challenge or other.challenge
        self.worst = heapq.nsmallest(N_WORST, [*self.worst, *other.worst], key=lambda item: (-item[0], item[1]))


def numbers(
    tallies: Sequence[Tally],
    kind: str,
    measures: Sequence[Measure],
    class_id: int | None = None,
    among: Sequence[int] = (),
) -> tuple[dict[str, float], list[str]]:
    """Numbers of a prediction over one crop, or over several together.

    Crops are pooled: voxels and objects of all of them count as if they were one volume, whose objects keep apart.
    Distances of surfaces are means over the crops where both sides have a surface.

    Args:
        tallies: of the crops.
        kind: of the cases.
        measures: those that fit the kind.
        class_id: of kind `classes`, which class; `None`: the mean over those that occur.
        among: of kind `classes`, those that the mean is over; none: all.

    Returns:
        numbers by column, and remarks. No number where no voxel is known.
    """
    if not any(tally.voxels for tally in tallies):
        return {}, ["the truth is unknown everywhere"]
    found: dict[str, float] = {}
    remarks: list[str] = []
    table = _pooled([tally.table for tally in tallies], kind == INSTANCE)
    matched: dict[float, dict[str, float]] = {}  # by threshold
    for measure in measures:
        if measure.base == "cellmap":
            values = _of_challenge([tally.challenge for tally in tallies if tally.challenge], kind)
        elif measure.base in ("ece", *_NUMBERS):
            values = _of_metrics([t.metrics[measure.name] for t in tallies if measure.name in t.metrics])
        elif kind == CLASSES and class_id is None:
            names = [name for name in class_ids(tallies) if not among or name in among]
            of_classes = [numbers(tallies, kind, [measure], name)[0] for name in names]
            values = {measure.base: _mean([each[measure.name] for each in of_classes])}
        elif measure.needs_whole:
            surfaces = [tally.surfaces[class_id or 1] for tally in tallies if (class_id or 1) in tally.surfaces]
            values = {measure.base: _of_surfaces(measure, surfaces, remarks)}
        else:
            counts = foreground_counts(table) if kind != CLASSES else class_overlaps(table).get(class_id or 0, Counts())
            values = _of_table(measure, table, counts, matched)
        found |= {measure.label(column): value for column, value in values.items()}
    return found, remarks


def class_ids(tallies: Sequence[Tally]) -> list[int]:
    """Every class that occurs in predictions or truth, without 0."""
    ids = [np.concatenate([tally.table.prediction, tally.table.truth]) for tally in tallies]
    return [int(name) for name in np.unique(np.concatenate(ids)) if name] if ids else []


def foreground_counts(table: Contingency) -> Counts:
    """Voxels of the foreground, of everything that is not 0."""
    predicted, true = table.prediction != 0, table.truth != 0
    both, one, other = (
        int(table.voxels[rows].sum()) for rows in (predicted & true, predicted & ~true, true & ~predicted)
    )
    return Counts(both, one, other)


def _of_table(
    measure: Measure, table: Contingency, counts: Counts, matched: dict[float, dict[str, float]]
) -> dict[str, float]:
    match measure:
        case Measure("dice"):
            return {"dice": counts.f1}
        case Measure("iou"):
            return {"iou": counts.jaccard}
        case Measure("voi"):
            split, merge = variation_of_information(table)
            return {"voi": split + merge, "voi_split": split, "voi_merge": merge}
        case Measure("rand"):
            rand = adapted_rand(table)
            return {"rand_error": rand.error, "rand_precision": rand.precision, "rand_recall": rand.recall}
        case Measure("ap", None):
            return {"ap": mean_average_precision(table)}
        case Measure(base, float(threshold)):
            if threshold not in matched:
                matched[threshold] = matching_scores(match_objects(table, threshold=threshold))
            return {column: matched[threshold][name] for column, name in _OF_MATCHING[base].items()}
    raise ValueError(f"'{measure.name}' does not follow from a table of labels")


def _of_surfaces(measure: Measure, surfaces: Sequence[SurfaceScores], remarks: list[str]) -> float:
    if measure.base == "surface_dice":
        near, voxels = (sum(each.near[measure.number][i] for each in surfaces) for i in (0, 1))
        return near / voxels if voxels else math.nan
    values = [each.average if measure.base == "assd" else each.hausdorff95 for each in surfaces]
    finite = [value for value in values if math.isfinite(value)]
    lost = sum(math.isinf(value) for value in values)
    if lost and finite:
        remarks.append(f"{measure.name}: without {lost} of {len(values)} crops, where only one side has a surface")
    return _mean(finite) if finite or not lost else math.inf


def _of_challenge(counts: Sequence[dict[str, float]], kind: str) -> dict[str, float]:
    if kind != INSTANCE:
        return {"cellmap": cellmap_semantic_score(counts)["score"]}
    scores = cellmap_class_score(counts)
    return {"cellmap": scores["score"], "cellmap_f1": scores["f1"], "cellmap_hausdorff": scores["hausdorff"]}


def _of_metrics(metrics: Sequence[Metric]) -> dict[str, float]:
    if not metrics:
        return {}
    pooled = copy.deepcopy(metrics[0])
    for metric in metrics[1:]:
        pooled.merge(metric)
    return pooled.compute()


def _pooled(tables: Sequence[Contingency], has_objects: bool) -> Contingency:
    """One table of several crops, in which objects of different crops have different ids."""
    if len(tables) == 1:
        return tables[0]
    pooled = Contingency()
    last_predicted = last_true = 0
    for table in tables:
        predicted, true = table.prediction, table.truth
        if has_objects:
            predicted, last_predicted = _renamed(predicted, last_predicted)
            true, last_true = _renamed(true, last_true)
        pooled.merge(Contingency(predicted, true, table.voxels))
    return pooled


def _renamed(ids: NDArray[np.uint64], last: int) -> tuple[NDArray[np.uint64], int]:
    """Ids as `last` + 1, + 2, ..., 0 stays; and the last of them."""
    found, place = np.unique(np.concatenate([[np.uint64(0)], ids]), return_inverse=True)
    names = np.arange(len(found), dtype=np.uint64) + np.uint64(last)
    names[0] = 0
    return names[place[1:]], last + len(found) - 1


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan
