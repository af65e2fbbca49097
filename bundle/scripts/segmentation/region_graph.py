"""Which fragments touch, and how strong the boundary between them is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..geometry.neighbours import both_ends
from .affinities import Offsets
from .id_pairs import Pairs, group_pairs
from .inputs import Array, check_affinities, check_labels, check_same_shape
from .relabelling import dense_ids, look_up

BINS = 256
_UNIT = 2.0**-24
"""Boundary strengths are rounded to multiples of this, so that float64 adds them up exactly, in any order."""


@dataclass(frozen=True)
class RegionGraph:
    """Pairs of fragments that touch, with the boundary between them: 1 less the affinities of their voxel edges.

    Args:
        edges: N 2 ids, the smaller one first, in ascending order.
        count: N, voxel edges between the two fragments.
        total: N, sum of the boundary strength (0..1) over these voxel edges.
        histogram: N x 256 sparse counts of the boundary strength x 255, rounded; `None` where it was not asked for.
    """

    edges: Pairs
    count: NDArray[np.int64]
    total: NDArray[np.float64]
    histogram: sparse.csr_array | None = None

    def __len__(self) -> int:
        return len(self.edges)

    def to_arrays(self) -> dict[str, Array]:
        """Plain arrays by name, such as `numpy.savez` stores."""
        arrays = {"edges": self.edges, "count": self.count, "total": self.total}
        if self.histogram is not None:
            arrays |= {f"histogram_{part}": getattr(self.histogram, part) for part in ("data", "indices", "indptr")}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> RegionGraph:
        """The graph that `to_arrays` took apart."""
        edges = arrays["edges"]
        histogram = None
        if "histogram_data" in arrays:
            parts = tuple(arrays[f"histogram_{part}"] for part in ("data", "indices", "indptr"))
            histogram = sparse.csr_array(parts, shape=(len(edges), BINS))
        return cls(edges, arrays["count"], arrays["total"], histogram)


def build_region_graph(
    fragments: Any,
    affinities: Any,
    offsets: Offsets,
    *,
    own: Sequence[slice] | None = None,
    histogram: bool = False,
) -> RegionGraph:
    """Graph of the fragments of an array, or of one block of a volume (`merge_region_graphs` adds blocks up).

    A voxel edge from v to v + offset belongs to the block that holds v. So a block needs, beyond its own voxels, a halo
    as wide as the offsets on the side to which they lead (one voxel at the upper side of each axis for direct
    neighbours), with fragments there and affinities of its own voxels; `own` says which voxels are its own. The sum of
    all blocks' graphs is then the graph of the volume, to the last bit.

    A boundary map serves by way of `boundary_to_affinities` (computed with the halo). Offsets of more than one step
    link fragments that do not touch, so objects may end up in several pieces.

    Args:
        fragments: ids D H W or H W, up to uint64; 0 = background, which is no fragment.
        affinities: K D H W or K H W, 0..1.
        offsets: K steps per axis.
        own: box of the block's own voxels, one slice per axis; `None`: all.
        histogram: whether to count boundary strengths, which scoring by quantile needs.

    Raises:
        TypeError: when fragments are floats or affinities integers.
        ValueError: when shapes differ, or affinities are not within 0..1.
    """
    values, steps = check_affinities(affinities, offsets)
    ids = check_labels(fragments, "fragments")
    check_same_shape(ids.shape, values.shape[1:], "fragments")
    names, numbers = dense_ids(ids)
    firsts, seconds, strengths = [], [], []
    for channel, offset in zip(values, steps, strict=True):
        here, there = _owned(ids.shape, offset, own)
        a, b = numbers[here], numbers[there]
        between = np.flatnonzero((a != b) & (a > 0) & (b > 0))
        a, b = a.ravel()[between], b.ravel()[between]
        firsts.append(np.minimum(a, b))
        seconds.append(np.maximum(a, b))
        strengths.append(1 - channel[here].ravel()[between].astype(np.float64))
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    strength = np.rint(np.concatenate(strengths) / _UNIT) * _UNIT
    pairs, edge = group_pairs(first, second)
    named = np.insert(names, 0, 0)[pairs]
    counts = None
    if histogram:
        bins = np.rint(strength * (BINS - 1)).astype(np.int32)
        ones = np.ones(len(bins), dtype=np.int64)
        counts = _canonical(sparse.coo_array((ones, (edge, bins)), shape=(len(pairs), BINS)))
    count = np.bincount(edge, minlength=len(pairs)).astype(np.int64)
    return RegionGraph(named, count, _sums(edge, strength, len(pairs)), counts)


def merge_region_graphs(graphs: Iterable[RegionGraph]) -> RegionGraph:
    """Add up the graphs of the blocks of a volume.

    Raises:
        ValueError: when there is no graph, or only some hold histograms.
    """
    given = list(graphs)
    if not given:
        raise ValueError("there is no region graph to merge; give at least one, which may have no edges")
    histograms = [graph.histogram for graph in given if graph.histogram is not None]
    if len(histograms) not in (0, len(given)):
        raise ValueError(f"{len(histograms)} of {len(given)} region graphs hold histograms; all or none must")
    stacked = RegionGraph(
        np.concatenate([graph.edges for graph in given]),
        np.concatenate([graph.count for graph in given]),
        np.concatenate([graph.total for graph in given]),
        sparse.vstack(histograms, format="csr") if histograms else None,
    )
    return _add_up(stacked, stacked.edges)


def contract_region_graph(graph: RegionGraph, fragments: Any, segments: Any) -> RegionGraph:
    """Graph of the segments that fragments were merged into; edges within a segment vanish, parallel ones add up.

    Args:
        graph: of fragments.
        fragments: N ids, ascending; a fragment that is not listed stays what it is.
        segments: N ids of the segments that they belong to.
    """
    known, new = np.asarray(fragments, dtype=np.uint64), np.asarray(segments, dtype=np.uint64)
    check_same_shape(new.shape, known.shape, "segments")
    return _add_up(graph, look_up(graph.edges, known, new))


def _add_up(graph: RegionGraph, edges: Pairs) -> RegionGraph:
    """Rename the ends of the edges and add parallel ones up."""
    linking = np.flatnonzero(edges[:, 0] != edges[:, 1])
    ends = np.sort(edges[linking], axis=1)  # smaller id first
    pairs, edge = group_pairs(ends[:, 0], ends[:, 1])
    n = len(pairs)
    count = _sums(edge, graph.count[linking], n).astype(np.int64)
    total = _sums(edge, graph.total[linking], n)
    counts = None
    if graph.histogram is not None:
        ones = np.ones(len(linking), dtype=np.int64)
        gather = sparse.coo_array((ones, (edge, linking)), shape=(n, len(graph))).tocsr()
        counts = _canonical(gather @ graph.histogram)
    return RegionGraph(pairs, count, total, counts)


def _sums(group: NDArray[np.intp], values: Array, n: int) -> NDArray[np.float64]:
    return np.bincount(group, values, minlength=n).astype(np.float64, copy=False)


def _canonical(counts: Any) -> sparse.csr_array:
    csr = sparse.csr_array(counts)
    csr.sum_duplicates()  # sorts the bins of each row, too
    return csr


def _owned(
    shape: tuple[int, ...], offset: tuple[int, ...], own: Sequence[slice] | None
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Both ends of the voxel edges that start in the block's own voxels."""
    here, there = both_ends(shape, offset)
    if own is None:
        return here, there
    if len(own) != len(shape):
        raise ValueError(f"own must hold one slice per axis, {len(shape)}; got {len(own)}")
    cut = []
    for inside, block, n in zip(here, own, shape, strict=True):
        start, stop, _ = block.indices(n)
        low = max(inside.start, start)
        cut.append(slice(low, max(min(inside.stop, stop), low)))
    moved = tuple(slice(s.start + step, s.stop + step) for s, step in zip(cut, offset, strict=True))
    return tuple(cut), moved
