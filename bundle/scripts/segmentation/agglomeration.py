"""Hierarchical merging of fragments into objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .id_pairs import Pairs
from .inputs import check_same_shape
from .merge_queue import MergeQueue
from .region_graph import RegionGraph, contract_region_graph
from .relabelling import look_up


@dataclass(frozen=True)
class Agglomeration:
    """Which fragments make up an object, for several thresholds.

    Args:
        thresholds: T boundary strengths, ascending.
        fragments: N ids, ascending: all fragments that have neighbours. A fragment that is not listed is an object by
            itself.
        segments: T N, for each threshold the object of each fragment: the smallest id of its fragments.
    """

    thresholds: tuple[float, ...]
    fragments: NDArray[np.uint64]
    segments: NDArray[np.uint64]


def agglomerate(
    graph: RegionGraph,
    thresholds: Sequence[float],
    *,
    quantile: float | None = None,
    forbidden: Any = None,
) -> Agglomeration:
    """Merge fragments, weakest boundary first, until no boundary is below a threshold.

    After each merge the boundaries of the new object are scored anew (Nunez-Iglesias et al. 2013; Funke et al. 2018).
    One sweep serves all thresholds; each segmentation is that of a run with this threshold alone, and is nested in the
    next one. The graph of a whole volume, added up over its blocks, gives the segmentation of the volume.

    Args:
        graph: from `build_region_graph` or `merge_region_graphs`.
        thresholds: boundary strengths from 0 (nothing merges) to 1, in any order; the result has them ascending.
        quantile: of the voxel edges' boundary strengths is the score of a boundary, such as 0.75, which merges more
            reluctantly than the median 0.5; `None`: their mean.
        forbidden: M 2 ids of fragments that must not end up in one object.

    Raises:
        ValueError: when there is no threshold, one is not from 0 to 1, or the graph has no histogram for a quantile.
    """
    ascending = tuple(sorted({float(threshold) for threshold in thresholds}))
    if not ascending or not all(0 <= threshold <= 1 for threshold in ascending):
        raise ValueError(f"thresholds must be boundary strengths from 0 to 1, at least one; got {list(thresholds)}")
    queue = MergeQueue(graph, quantile, _pairs(forbidden))
    segments = []
    for threshold in ascending:
        queue.merge_below(threshold)
        segments.append(queue.regions())
    return Agglomeration(ascending, queue.ids, np.stack(segments))


def absorb_small(
    graph: RegionGraph,
    fragments: Any,
    segments: Any,
    sizes: Any,
    min_size: float,
    *,
    quantile: float | None = None,
    forbidden: Any = None,
) -> NDArray[np.uint64]:
    """Merge every object that is too small into the neighbour across its weakest boundary, whatever its strength.

    The weakest boundary of all small objects goes first, boundaries are scored anew after each merge, and an object
    that has grown large enough is left alone. A small object without neighbours stays.

    Args:
        graph: of the fragments.
        fragments: N ids, ascending; all that the graph names.
        segments: N ids of the objects that they belong to: a row of `Agglomeration.segments`.
        sizes: N sizes of the fragments, in voxels or physical volume.
        min_size: size from which on an object stands by itself.
        quantile, forbidden: see `agglomerate`.

    Returns:
        N ids of the objects, of those that were merged the smallest.

    Raises:
        ValueError: when arrays are not of the same length, or the graph names a fragment that is not listed.
    """
    known, of = np.asarray(fragments, dtype=np.uint64), np.asarray(segments, dtype=np.uint64)
    extent = np.asarray(sizes)
    check_same_shape(of.shape, known.shape, "segments")
    check_same_shape(extent.shape, known.shape, "sizes")
    missing = np.setdiff1d(graph.edges, known)
    if len(missing):
        raise ValueError(f"fragments must list all that the graph names, but {len(missing)} lack, such as {missing[0]}")
    apart = _pairs(forbidden)
    queue = MergeQueue(
        contract_region_graph(graph, known, of), quantile, None if apart is None else look_up(apart, known, of)
    )
    objects, member = np.unique(of, return_inverse=True)
    object_sizes = np.bincount(member, extent, minlength=len(objects))
    queue.absorb(object_sizes[np.searchsorted(objects, queue.ids)].tolist(), min_size)
    return look_up(of, queue.ids, queue.regions())


def _pairs(forbidden: Any) -> Pairs | None:
    if forbidden is None:
        return None
    pairs = np.asarray(forbidden)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or (pairs.size and pairs.dtype.kind not in "iu"):
        raise ValueError(f"forbidden must hold pairs of ids, M 2 whole numbers; got {pairs.dtype} {pairs.shape}")
    return pairs.astype(np.uint64)
