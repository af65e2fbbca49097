"""The search within one island of labels: survey, group, count, decide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .bits import Bits, label_boxes
from .cells import Labelled, combine_to_patches, count_cells, merge
from .groups import Box, group_labels
from .journal import SearchJournal
from .labelled import LabelledVoxels
from .lattice import AxisLattice, axis_lattice

Mapper = Callable[[Callable[..., Any], Iterable[Any]], Iterable[Any]]

KEPT_BYTES = 64 * 2**20
"""Most bytes of packed labels that are kept between survey and count; what is beyond is read a second time."""

_FLUSH_CELLS = 50_000


@dataclass(frozen=True)
class Settings:
    """What decides about a candidate.

    Args:
        size: patch, z, y, x.
        stride: distance between candidates.
        min_bbox_percent: least share of the patch that the box around its labels fills.
        min_labeled_ratio: least share of that box that is labelled.
        min_ratios: for further arrays, the least share of the patch that is labelled there.
    """

    size: tuple[int, int, int]
    stride: tuple[int, int, int]
    min_bbox_percent: float
    min_labeled_ratio: float
    min_ratios: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Found:
    """Outcome of a search, or of a part of it.

    Args:
        patches: start z, y, x, then share of the patch in the labels' box, then labelled share of that box.
        n_candidates: how many candidates hold a label at all.
        nearest: shortfall and the two shares of the candidate that came closest to the thresholds.
    """

    patches: list[tuple[int, int, int, float, float]] = field(default_factory=list)
    n_candidates: int = 0
    nearest: tuple[float, float, float] | None = None

    def add(self, other: Found) -> None:
        """Take another part's outcome in."""
        self.patches += other.patches
        self.n_candidates += other.n_candidates
        if other.nearest is not None and (self.nearest is None or other.nearest < self.nearest):
            self.nearest = other.nearest

    def as_json(self) -> list[Any]:
        """For the journal."""
        return [self.patches, self.n_candidates, self.nearest]

    @classmethod
    def from_json(cls, stored: Sequence[Any]) -> Found:
        patches, n_candidates, nearest = stored
        return cls([tuple(patch) for patch in patches], n_candidates, None if nearest is None else tuple(nearest))


class IslandSearch:
    """Searches islands of one volume.

    Args:
        labels: the reference label.
        further: arrays with a least share of their own, by key, each with its stored boxes.
        settings: what decides.
    """

    def __init__(
        self, labels: LabelledVoxels, further: Mapping[str, tuple[LabelledVoxels, list[Box]]], settings: Settings
    ) -> None:
        self.labels, self.settings = labels, settings
        self.further = {
            key: (
                reader,
                np.array([box[0] for box in boxes]).reshape(-1, 3),
                np.array([box[1] for box in boxes]).reshape(-1, 3),
            )
            for key, (reader, boxes) in further.items()
        }

    def run(
        self,
        boxes: Sequence[Box],
        surveyed: Mapper = map,
        mapped: Mapper = map,
        journal: SearchJournal | None = None,
        piece: tuple[int, ...] = (),
    ) -> Found:
        """Search one island.

        Args:
            boxes: its stored boxes, sorted.
            surveyed: applies `survey` to some of the boxes, like `map`, perhaps in parallel, in order.
            mapped: the same for any other function.
            journal: keeps what is done within a large island.
            piece: name of the island in it.
        """
        journal = journal or SearchJournal(None, {})
        packed, parts = self._survey(boxes, surveyed, journal, piece)
        found = Found()
        groups = group_labels(parts, self.labels.low, self.labels.high, self.settings.size)
        starts = np.array([box[0] for box in boxes])
        stops = starts + [box[1] for box in boxes]
        for number, (low, high) in enumerate(groups):
            lattice = self._lattice(low, high)
            touched = np.flatnonzero((starts < high).all(axis=1) & (stops > low).all(axis=1)).tolist()
            found.add(self._search_group(lattice, boxes, touched, packed, mapped, journal, (*piece, number)))
        return found

    def _survey(
        self, boxes: Sequence[Box], surveyed: Mapper, journal: SearchJournal, piece: tuple[int, ...]
    ) -> tuple[dict[int, Bits], np.ndarray]:
        """Packed labels of as many boxes as may be kept, and the boxes around all labels N 2 3."""
        names = [(*piece, "survey", *box[0]) for box in boxes]
        new = [n for n, name in enumerate(names) if name not in journal]
        parts = [np.array(journal[name], int).reshape(-1, 2, 3) for name in names if name in journal]
        packed: dict[int, Bits] = {}
        n_bytes = 0
        for n, (bits, around) in zip(new, surveyed(self.survey, [boxes[n] for n in new]), strict=True):
            parts.append(around)
            journal.note(names[n], around.tolist())
            if len(around) and n_bytes + bits.words.nbytes <= KEPT_BYTES:
                n_bytes += bits.words.nbytes
                packed[n] = bits
        return packed, np.concatenate(parts) if parts else np.zeros((0, 2, 3), int)

    def survey(self, box: Box) -> tuple[Bits, np.ndarray]:
        """Read a box: its packed labels, and the boxes around them N 2 3."""
        bits = self.labels.bits(box)
        return bits, label_boxes(bits)

    def _lattice(self, low: Sequence[int], high: Sequence[int]) -> list[AxisLattice]:
        ranges = zip(
            low, high, self.labels.low, self.labels.high, self.settings.size, self.settings.stride, strict=True
        )
        return [axis_lattice(*(int(n) for n in numbers)) for numbers in ranges]

    def _search_group(
        self,
        lattice: list[AxisLattice],
        boxes: Sequence[Box],
        touched: list[int],
        packed: Mapping[int, Bits],
        mapped: Mapper,
        journal: SearchJournal,
        piece: tuple[int, ...],
    ) -> Found:
        def count(n: int) -> Labelled:
            return count_cells(packed[n] if n in packed else self.labels.bits(boxes[n]), lattice)

        found, front = Found(), 0
        while (done := (*piece, "rows", front)) in journal:
            front, stored = journal[done]
            found.add(Found.from_json(stored))
        if front:  # candidates before `front` are decided; what only they need is not counted again
            z = lattice[0].starts[front] if front < len(lattice[0].starts) else self.labels.high[0]
            touched = [n for n in touched if boxes[n][0][0] + boxes[n][1][0] > z]
        reached = [boxes[n][0][0] for n in touched[1:]] + [self.labels.high[0]]
        for candidates, rows in _whole_patches(zip(mapped(count, touched), reached, strict=True), lattice, front):
            decided = self._decide(candidates, lattice)
            journal.note((*piece, "rows", rows[0]), [rows[1], decided.as_json()])
            found.add(decided)
        return found

    def _decide(self, candidates: Labelled, lattice: Sequence[AxisLattice]) -> Found:
        """Which candidates meet the thresholds."""
        if len(candidates.count) == 0:
            return Found()
        settings = self.settings
        starts = np.stack([axis.starts[candidates.index[:, i]] for i, axis in enumerate(lattice)], axis=1)
        ends = np.stack([axis.ends[candidates.index[:, i]] for i, axis in enumerate(lattice)], axis=1)
        inside = np.prod(ends - starts, axis=1)
        bbox, ratio = candidates.bbox_volume / inside, candidates.count / candidates.bbox_volume
        shortfall = np.maximum(settings.min_bbox_percent - bbox, 0) + np.maximum(settings.min_labeled_ratio - ratio, 0)
        kept = (bbox >= settings.min_bbox_percent) & (ratio >= settings.min_labeled_ratio)
        for key, share in settings.min_ratios.items():
            if kept.any():
                kept[kept] = self._share(key, candidates.index[kept], lattice) >= share * inside[kept]
        best = int(np.argmin(shortfall))
        rows = zip(*starts[kept].T.tolist(), bbox[kept].tolist(), ratio[kept].tolist(), strict=True)
        return Found(list(rows), len(kept), (float(shortfall[best]), float(bbox[best]), float(ratio[best])))

    def _share(self, key: str, index: np.ndarray, lattice: Sequence[AxisLattice]) -> np.ndarray:
        """Labelled voxels of another array in each of the patches with the given lattice index N 3."""
        reader, starts, sizes = self.further[key]
        low = [axis.starts[index[:, i].min()] for i, axis in enumerate(lattice)]
        high = [axis.ends[index[:, i].max()] for i, axis in enumerate(lattice)]
        first, stop = np.maximum(starts, low), np.minimum(starts + sizes, high)
        reached = (first < stop).all(axis=1)
        pairs = zip(first[reached].tolist(), (stop - first)[reached].tolist(), strict=True)
        counted = [count_cells(reader.bits(((z, y, x), (d, h, w))), lattice) for (z, y, x), (d, h, w) in pairs]
        patches = combine_to_patches(merge(counted), lattice)
        shape = [len(axis.starts) for axis in lattice]
        counts = dict(zip(np.ravel_multi_index(tuple(patches.index.T), shape).tolist(), patches.count, strict=True))
        return np.array([counts.get(n, 0) for n in np.ravel_multi_index(tuple(index.T), shape).tolist()])


def _whole_patches(
    counted: Iterable[tuple[Labelled, int]], lattice: Sequence[AxisLattice], front: int
) -> Iterator[tuple[Labelled, tuple[int, int]]]:
    """Add cells up to patches, row of candidates by row, so that only cells which are still needed are kept.

    Args:
        counted: cells, and the first voxel along z of what comes next.
        lattice: the candidates.
        front: first row of candidates along z that is not decided yet.

    Yields:
        patches of some rows, and these rows: first, last plus one.
    """
    z = lattice[0]
    cells: list[Labelled] = []
    n_cells = 0
    for part, reached in counted:
        cells.append(part)
        n_cells += len(part.count)
        complete = int(np.searchsorted(z.ends, reached, side="right"))
        if n_cells < _FLUSH_CELLS or complete <= front:
            continue
        merged = merge(cells)
        yield _rows(merged, lattice, front, complete), (front, complete)
        front = complete
        needed = z.starts[front] if front < len(z.starts) else z.ends[-1]
        cells = [merged.select(z.edges[merged.index[:, 0]] >= needed)]
        n_cells = len(cells[0].count)
    if front < len(z.starts):
        yield _rows(merge(cells), lattice, front, len(z.starts)), (front, len(z.starts))


def _rows(cells: Labelled, lattice: Sequence[AxisLattice], first: int, last: int) -> Labelled:
    patches = combine_to_patches(cells, lattice)
    return patches.select((patches.index[:, 0] >= first) & (patches.index[:, 0] < last))
