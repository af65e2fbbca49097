"""A region graph that shrinks edge by edge, weakest boundary first."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .id_pairs import Pairs
from .inputs import Array
from .region_graph import BINS, RegionGraph

_ROUNDING = 1e-9


class MergeQueue:
    """Merges regions along the edge with the weakest boundary, again and again.

    When two regions merge, the edges that they both have to a third one become one edge: counts, sums and histograms
    add up and the score is computed anew. The old entries stay in the heap and are skipped when they come up. Of edges
    with the same score the one that comes first in the graph is merged first; an edge that was made of several has the
    place of the first of them. So the result depends on the graph only. With a quantile, an edge that was made of
    several holds 2 KiB.

    Args:
        graph: region graph.
        quantile: of the boundary strengths is the score of an edge; `None`: their mean.
        forbidden: pairs of ids that must not end up in one region; ids that the graph lacks do no harm.

    Raises:
        ValueError: when a quantile is not from 0 to 1, or the graph has no histogram for it.
    """

    def __init__(self, graph: RegionGraph, quantile: float | None = None, forbidden: Pairs | None = None) -> None:
        self.ids, ends = np.unique(graph.edges, return_inverse=True)
        self._ends: list[list[int]] = ends.reshape(-1, 2).tolist()
        n = len(self.ids)
        self._parent = list(range(n))
        self._smallest = list(range(n))
        self._neighbours: list[dict[int, int]] = [{} for _ in range(n)]  # region -> neighbour -> edge
        for edge, (a, b) in enumerate(self._ends):
            self._neighbours[a][b] = self._neighbours[b][a] = edge
        self._apart = self._forbidden_regions(forbidden)
        self._count = graph.count.tolist()
        self._total = graph.total.tolist()
        self._quantile = quantile
        self._histogram = graph.histogram
        self._merged_histograms: dict[int, NDArray[np.int64]] = {}
        self._score: list[float | None] = list(edge_scores(graph, quantile).tolist())  # None: the edge is gone
        self._heap = [(score, edge) for edge, score in enumerate(self._score) if score is not None]
        heapq.heapify(self._heap)

    def merge_below(self, threshold: float) -> None:
        """Merge while the weakest boundary is below a threshold."""
        self._run(threshold, None)

    def absorb(self, sizes: list[float], min_size: float) -> None:
        """Merge every region that is smaller than `min_size` across its weakest boundary; the others stay apart.

        Args:
            sizes: one per id.
            min_size: size from which on a region stands by itself.
        """
        self._run(math.inf, lambda a, b: min(sizes[a], sizes[b]) < min_size, sizes)

    def regions(self) -> NDArray[np.uint64]:
        """For each of `ids` the smallest id of the region that it belongs to."""
        roots = [self._smallest[self._find(node)] for node in range(len(self._parent))]
        return self.ids[np.array(roots, dtype=np.intp)]

    def _run(
        self, threshold: float, wanted: Callable[[int, int], bool] | None, sizes: list[float] | None = None
    ) -> None:
        while self._heap and self._heap[0][0] < threshold:
            score, edge = heapq.heappop(self._heap)
            if score != self._score[edge]:  # scored anew since, or gone
                continue
            a, b = (self._find(end) for end in self._ends[edge])
            if wanted is not None and not wanted(a, b):
                continue
            if b in self._apart.get(a, ()):
                continue
            kept, lost = (a, b) if len(self._neighbours[a]) >= len(self._neighbours[b]) else (b, a)
            self._merge(kept, lost, edge)
            if sizes is not None:
                sizes[kept] += sizes[lost]

    def _merge(self, kept: int, lost: int, edge: int) -> None:
        self._score[edge] = None
        self._parent[lost] = kept
        self._smallest[kept] = min(self._smallest[kept], self._smallest[lost])
        of_kept, of_lost = self._neighbours[kept], self._neighbours[lost]
        del of_kept[lost], of_lost[kept]
        for other, from_lost in of_lost.items():
            of_other = self._neighbours[other]
            del of_other[lost]
            from_kept = of_kept.get(other)
            stays = from_lost if from_kept is None else self._add_up(from_kept, from_lost)
            of_kept[other] = of_other[kept] = stays
        self._neighbours[lost] = {}
        for other in self._apart.pop(lost, ()):
            self._apart[other].discard(lost)
            self._apart[other].add(kept)
            self._apart.setdefault(kept, set()).add(other)

    def _add_up(self, one: int, two: int) -> int:
        """Make one edge of two; return it."""
        stays, goes = min(one, two), max(one, two)
        self._count[stays] += self._count[goes]
        self._total[stays] += self._total[goes]
        if self._quantile is None:
            score = self._total[stays] / self._count[stays]
        else:
            summed = self._dense_histogram(stays) + self._dense_histogram(goes)
            self._merged_histograms.pop(goes, None)
            self._merged_histograms[stays] = summed
            rank = _rank(self._quantile, self._count[stays])
            score = int(np.searchsorted(np.cumsum(summed), rank)) / (BINS - 1)
        self._score[goes] = None
        self._score[stays] = score
        heapq.heappush(self._heap, (score, stays))
        return stays

    def _dense_histogram(self, edge: int) -> NDArray[np.int64]:
        if edge in self._merged_histograms:
            return self._merged_histograms[edge]
        dense = np.zeros(BINS, dtype=np.int64)
        if self._histogram is not None:
            row = slice(self._histogram.indptr[edge], self._histogram.indptr[edge + 1])
            dense[self._histogram.indices[row]] = self._histogram.data[row]
        return dense

    def _find(self, node: int) -> int:
        parent = self._parent
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def _forbidden_regions(self, forbidden: Pairs | None) -> dict[int, set[int]]:
        apart: dict[int, set[int]] = {}
        pairs = np.asarray([] if forbidden is None else forbidden, dtype=np.uint64).reshape(-1, 2)
        listed = np.isin(pairs, self.ids).all(axis=1)
        for a, b in np.searchsorted(self.ids, pairs[listed]).tolist():
            if a != b:
                apart.setdefault(a, set()).add(b)
                apart.setdefault(b, set()).add(a)
        return apart


def edge_scores(graph: RegionGraph, quantile: float | None = None) -> NDArray[np.float64]:
    """Boundary strength of each edge, 0..1.

    Args:
        graph: region graph.
        quantile: the boundary strength, in steps of 1/255, that this share of the voxel edges does not exceed;
            `None`: the mean.

    Raises:
        ValueError: when the quantile is not from 0 to 1, or the graph has no histogram for it.
    """
    if quantile is None:
        return graph.total / graph.count
    if not 0 <= quantile <= 1:
        raise ValueError(f"quantile must be from 0 to 1, or None for the mean; got {quantile!r}")
    if graph.histogram is None:
        raise ValueError(f"scoring by quantile {quantile} needs a region graph with histogram=True")
    up_to = np.cumsum(graph.histogram.data)
    before = np.concatenate([[0], up_to])[graph.histogram.indptr[:-1]]
    place = np.searchsorted(up_to, before + _rank(quantile, graph.count))
    return graph.histogram.indices[place] / (BINS - 1)


def _rank(quantile: float, count: Array) -> Array:
    """Place of the quantile among the sorted values, from 1 on (inverse of the empirical distribution)."""
    return np.maximum(np.ceil(quantile * np.asarray(count) - _ROUNDING), 1).astype(np.int64)
