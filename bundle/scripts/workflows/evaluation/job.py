"""Scoring in parts: blocks of bounded size, and whole crops where that is needed, in one process or many."""

from __future__ import annotations

import contextlib
import copy
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...blockwise import Call, DaskWorkers, Threads, WorkProgress
from ...geometry import Kind, Target
from ...metrics import Contingency, make_metric
from ...volumes import CannotListError, Volume, bundle, lattice, touched_blocks
from ..score import BLOCK_VOXELS, as_batch
from .kinds import stored_volume
from .measures import LABELS, Measure, measures_of
from .open import OpenCase, Triplet
from .partners import wrong_voxels
from .tally import Tally
from .whole import challenge_counts, measure_surfaces

Result = tuple[int, int, list[Tally]]
"""Place in the order, case, and what it adds to every prediction of the case."""

_SURFACES = {"assd", "hausdorff95", "surface_dice"}

_one_crop = threading.Lock()  # a process holds one whole crop at a time, whatever its threads


@dataclass(frozen=True)
class ScoreJob:
    """The parts of an evaluation, each its place in the order, its case, and a block's first voxel.

    Args:
        cases: what is compared.
        measures: what is asked for; each case takes those that fit its kind.
        strict: see `cellmap_instance_counts`.
        block_voxels: most voxels of a block.
    """

    cases: Sequence[OpenCase]
    measures: Sequence[Measure]
    strict: bool = True
    block_voxels: int = BLOCK_VOXELS

    def calls(self) -> tuple[list[Call], list[Tally]]:
        """What there is to do, and for every case what need not be read: blocks in which nothing is stored."""
        parts: list[tuple[str, tuple[int, ...]]] = []
        left_out = []
        for number, opened in enumerate(self.cases):
            wanted = {measure.base for measure in self._wanted(opened)}
            blocks, empty = self._blocks(opened, can_skip="ece" not in wanted)
            parts += [("block", (number, *start)) for start in blocks]
            left_out.append(empty)
            if wanted & _SURFACES:
                parts.append(("surfaces", (number,)))
            if "cellmap" in wanted:
                parts.append(("challenge", (number,)))
        return [(method, (n, *part)) for n, (method, part) in enumerate(parts)], left_out

    def prepared(self, worker: int) -> contextlib.AbstractContextManager[None]:
        """Nothing to prepare: stores are opened where they are read."""
        return contextlib.nullcontext()

    def block(self, part: tuple[int, ...]) -> Result:
        """Count the voxels of one block."""
        place, number, z, y, x = part
        opened = self.cases[number]
        start, size = block_box(opened, (z, y, x), self.block_voxels)
        count = _count_labels if opened.kind in LABELS else _count_numbers
        return place, number, count(opened, self._wanted(opened), start, size)

    def surfaces(self, part: tuple[int, ...]) -> Result:
        """Measure the surfaces of one case."""
        place, number = part
        opened = self.cases[number]
        with _one_crop:
            return place, number, [Tally(surfaces=each) for each in measure_surfaces(opened, self._wanted(opened))]

    def challenge(self, part: tuple[int, ...]) -> Result:
        """Count one case as the CellMap challenge does."""
        place, number = part
        with _one_crop:
            return place, number, [Tally(challenge=each) for each in challenge_counts(self.cases[number], self.strict)]

    def _wanted(self, opened: OpenCase) -> list[Measure]:
        return measures_of(opened.kind, self.measures)

    def _blocks(self, opened: OpenCase, can_skip: bool) -> tuple[list[Triplet], Tally]:
        """Corners of the blocks to read, and the background of the others."""
        step = block_step(opened, self.block_voxels)
        first, stop = opened.low, [low + n for low, n in zip(opened.low, opened.size, strict=True)]
        every = [
            corner
            for corner, size in lattice(opened.truth.spatial_shape, step)
            if all(at < end and at + n > low for at, n, low, end in zip(corner, size, first, stop, strict=True))
        ]
        is_unknown = _is_unknown(opened, stored_volume(opened.truth).fill_value)
        touched = _touched(opened, step, is_unknown) if is_unknown or can_skip else None
        if touched is None:
            return every, Tally()
        kept = [corner for corner in every if tuple(at // n for at, n in zip(corner, step, strict=True)) in touched]
        read = sum(math.prod(block_box(opened, corner, self.block_voxels)[1]) for corner in kept)
        voxels = 0 if is_unknown else math.prod(opened.size) - read
        return kept, Tally(voxels, Contingency([0], [0], [voxels])) if voxels else Tally()


def run_job(job: ScoreJob, workers: Threads | DaskWorkers | None = None) -> list[list[Tally]]:
    """Do all parts. Sums are added in the order of the parts, so that numbers do not depend on who did what.

    Args:
        job: what is to be done.
        workers: threads or processes that do it; `None`: one thread of this process.

    Returns:
        for every case a tally of each prediction.
    """
    calls, left_out = job.calls()
    totals = [[copy.deepcopy(empty) for _ in case.predictions] for case, empty in zip(job.cases, left_out, strict=True)]
    waiting: dict[int, Result] = {}
    place = 0
    pool = (workers or Threads()).pool()
    with WorkProgress("evaluate", len(calls), "parts") as progress, pool:
        for result in pool.map(job, calls):
            waiting[result[0]] = result
            progress.advance()
            while place in waiting:
                _, number, tallies = waiting.pop(place)
                for total, tally in zip(totals[number], tallies, strict=True):
                    total.merge(tally)
                place += 1
    return totals


def block_step(opened: OpenCase, most_voxels: int) -> Triplet:
    """Size of the blocks of a case: whole chunks of the truth, or parts of them where these are too large."""
    chunk = [min(n, extent) for n, extent in zip(opened.truth.chunks, opened.truth.spatial_shape, strict=True)]
    while math.prod(chunk) > most_voxels and max(chunk) > 1:
        longest = chunk.index(max(chunk))
        chunk[longest] = -(-chunk[longest] // 2)
    return bundle(chunk, opened.truth.spatial_shape, most_voxels)


def block_box(opened: OpenCase, corner: Triplet, most_voxels: int) -> tuple[Triplet, Triplet]:
    """First voxel and size of a block, as far as it lies in the region."""
    step = block_step(opened, most_voxels)
    bounds = [
        (max(at, low), min(at + n, low + extent))
        for at, n, low, extent in zip(corner, step, opened.low, opened.size, strict=True)
    ]
    (z, z1), (y, y1), (x, x1) = bounds
    return (z, y, x), (z1 - z, y1 - y, x1 - x)


def _is_unknown(opened: OpenCase, value: float) -> bool:
    """Whether a value of the truth says that the truth is unknown."""
    if opened.kind not in LABELS:
        return math.isnan(value)
    return value < 0 or value == opened.ignore_label


def _touched(opened: OpenCase, step: Triplet, is_unknown: bool) -> set[Triplet] | None:
    """Blocks in which something is stored that may count.

    Args:
        opened: the case.
        step: size of the blocks.
        is_unknown: whether the truth is, where it is not stored.

    Returns:
        `None` where what is not stored counts as something else than background.
    """
    volumes: list[Volume] = [opened.truth]
    if not is_unknown:
        volumes += [volume for volume in opened.predictions if volume is not None]
        shapes = {volume.spatial_shape for volume in volumes}
        fills = {stored_volume(volume).fill_value for volume in volumes}
        if opened.kind not in LABELS or opened.mask is not None or len(shapes) > 1 or fills != {0}:
            return None
    try:
        return touched_blocks((box for volume in volumes for box in volume.stored_chunks(inside_shards=True)), step)
    except CannotListError:
        return None


def _count_labels(opened: OpenCase, measures: Sequence[Measure], start: Triplet, size: Triplet) -> list[Tally]:
    truth, known = opened.true_labels(start, size)
    tallies = []
    for n in range(len(opened.predictions)):
        values = opened.predicted_values(n, start, size)
        table = Contingency.of(opened.labels_of(n, values), truth, known)
        errors = wrong_voxels(table, opened.kind)
        tally = Tally(int(known.sum()), table, worst=[(float(errors), start)] if errors else [])
        for measure in measures:
            if measure.base == "ece" and opened.has_probabilities(n):
                metric = make_metric("ece", Target("", len(values)), opened.truth.spacing)
                labels = np.where(known, truth, -1).astype(np.float32)
                metric.update(as_batch(values), as_batch(labels[None]))  # D H W -> 1 D H W
                tally.metrics[measure.name] = metric
        tallies.append(tally)
    return tallies


def _count_numbers(opened: OpenCase, measures: Sequence[Measure], start: Triplet, size: Triplet) -> list[Tally]:
    truth = opened.true_numbers(start, size)
    known = np.isfinite(truth).all(axis=0)
    tallies = []
    for n in range(len(opened.predictions)):
        values = opened.predicted_values(n, start, size)
        error = float(np.linalg.norm((values - truth)[:, known], axis=0).sum())  # C N -> N
        tally = Tally(int(known.sum()), worst=[(error, start)] if error else [])
        for measure in measures:
            metric = make_metric(measure.name, Target("", len(truth), Kind(opened.kind)), opened.truth.spacing)
            metric.update(as_batch(values), as_batch(truth))
            tally.metrics[measure.name] = metric
        tallies.append(tally)
    return tallies
