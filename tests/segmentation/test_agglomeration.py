"""Agglomeration against a slow rewrite that looks at all edges before every merge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse import csgraph
from tests.segmentation import volumes

from scripts.segmentation import (
    RegionGraph,
    absorb_small,
    agglomerate,
    boundary_to_affinities,
    build_region_graph,
    direct_offsets,
)

seeds = st.integers(0, 2**32 - 1)
LEVELS = [0.1, 0.3, 0.5, 0.7, 1.0]


def random_graph(seed, n=9, n_edges=20, levels=255, unit=1):
    """A graph whose boundary strengths are multiples of 1/levels, so that many edges have the same score."""
    rng = np.random.default_rng(seed)
    pairs = {tuple(sorted(rng.choice(n, 2, replace=False).tolist())) for _ in range(n_edges)}
    edges = (np.array(sorted(pairs), np.uint64).reshape(-1, 2) + np.uint64(1)) * np.uint64(unit)
    steps = [rng.integers(0, levels + 1, rng.integers(1, 6)) * (255 // levels) for _ in pairs]
    counts = np.array([np.bincount(step, minlength=256) for step in steps])
    total = np.array([step.sum() / 255 for step in steps])
    return RegionGraph(edges, counts.sum(axis=1), total, sparse.csr_array(counts)), steps


class SlowMerger:
    """Regions as sets, edges as lists of values; every step looks at everything."""

    def __init__(self, graph, steps, quantile, forbidden=()):
        self.quantile = quantile
        self.ids = np.unique(graph.edges)
        self.region = {int(i): int(i) for i in self.ids}
        self.edges = {
            frozenset(edge): (place, list(step), float(total))
            for place, (edge, step, total) in enumerate(zip(graph.edges.tolist(), steps, graph.total, strict=True))
        }
        self.forbidden = [tuple(pair) for pair in forbidden]

    def score(self, values, total):
        if self.quantile is None:
            return total / len(values)
        return np.quantile(values, self.quantile, method="inverted_cdf") / 255

    def may_merge(self, a, b):
        pairs = [{self.region.get(x), self.region.get(y)} for x, y in self.forbidden]
        return {a, b} not in pairs

    def weakest(self, wanted):
        candidates = [
            (self.score(values, total), place, edge)
            for edge, (place, values, total) in self.edges.items()
            if self.may_merge(*edge) and wanted(*edge)
        ]
        return min(candidates, key=lambda c: c[:2], default=None)

    def merge(self, edge):
        a, b = sorted(edge)
        del self.edges[edge]
        self.region = {node: a if region == b else region for node, region in self.region.items()}
        for other in [e for e in self.edges if b in e]:
            place, values, total = self.edges.pop(other)
            new = frozenset({a, *other} - {b})
            if new in self.edges:
                there, more, sum_there = self.edges[new]
                place, values, total = min(place, there), values + more, total + sum_there
            self.edges[new] = (place, values, total)

    def run(self, threshold, wanted=lambda a, b: True, merged=lambda a, b: None):
        while (best := self.weakest(wanted)) is not None and best[0] < threshold:
            merged(*sorted(best[2]))
            self.merge(best[2])
        return [self.region[int(node)] for node in self.ids]


@pytest.mark.parametrize("quantile", [None, 0.0, 0.25, 0.5, 0.9, 1.0])
@settings(max_examples=40, deadline=None)
@given(seed=seeds, levels=st.sampled_from([1, 3, 255]), bound=st.booleans())
def test_every_threshold_equals_the_slow_merger(quantile, seed, levels, bound):
    graph, steps = random_graph(seed, levels=levels)
    pairs = np.random.default_rng(seed).integers(1, 12, (3, 2)) if bound else None
    found = agglomerate(graph, LEVELS, quantile=quantile, forbidden=pairs)
    assert found.thresholds == tuple(LEVELS)
    assert np.array_equal(found.fragments, np.unique(graph.edges))
    for threshold, segments in zip(LEVELS, found.segments, strict=True):
        slow = SlowMerger(graph, steps, quantile, [] if pairs is None else [p for p in pairs.tolist() if p[0] != p[1]])
        assert segments.tolist() == slow.run(threshold)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, unit=st.sampled_from([1, 2**33, 2**60 + 7]))
def test_segmentations_are_nested_and_named_by_their_smallest_fragment(seed, unit):
    graph, _ = random_graph(seed, unit=unit)
    found = agglomerate(graph, LEVELS[::-1])  # sorted by itself
    for finer, coarser in zip(found.segments[:-1], found.segments[1:], strict=True):
        assert len(set(zip(finer.tolist(), coarser.tolist(), strict=True))) == len(np.unique(finer))
    for segments in found.segments:
        for name in np.unique(segments):
            assert found.fragments[segments == name].min() == name


@settings(max_examples=40, deadline=None)
@given(seed=seeds, threshold=st.sampled_from([0.2, 0.5, 0.8]))
def test_edges_that_stay_below_join_as_connected_components_do(seed, threshold):
    """With quantile 0, the weakest voxel edge, a boundary never grows stronger by merging: single linkage."""
    graph, steps = random_graph(seed, n=15, n_edges=25)
    below = np.array([step.min() / 255 < threshold for step in steps])
    nodes, ends = np.unique(graph.edges, return_inverse=True)
    ends = ends.reshape(-1, 2)[below].T
    links = sparse.coo_array((np.ones(len(ends[0])), (ends[0], ends[1])), shape=(len(nodes), len(nodes)))
    _, component = csgraph.connected_components(links, directed=False)
    segments = agglomerate(graph, [threshold], quantile=0.0).segments[0]
    assert volumes.same_partition(segments, component + 1)


def test_a_boundary_is_scored_anew_after_a_merge():
    """1-2 merge first; 3 is then reached across 0.2 and 0.8 together, which is 0.65 on average (1 and 3 edges)."""
    graph = RegionGraph(np.array([[1, 2], [1, 3], [2, 3]], np.uint64), np.array([1, 1, 3]), np.array([0.1, 0.2, 2.4]))
    result = agglomerate(graph, [0.05, 0.15, 0.6, 0.7])
    assert result.segments.tolist() == [[1, 2, 3], [1, 1, 3], [1, 1, 3], [1, 1, 1]]


def test_a_threshold_of_zero_merges_nothing_and_a_total_boundary_never_merges():
    graph = RegionGraph(np.array([[1, 2], [2, 3]], np.uint64), np.array([4, 4]), np.array([0.0, 4.0]))
    assert agglomerate(graph, [0.0, 1.0]).segments.tolist() == [[1, 2, 3], [1, 1, 3]]


def test_of_equal_boundaries_the_first_merges_first():
    """Merging 1-2 forbids 2-3, and the other way round."""
    edges, equal = np.array([[1, 2], [2, 3]], np.uint64), np.array([0.25, 0.25])
    graph = RegionGraph(edges, np.array([1, 1]), equal)
    assert agglomerate(graph, [1.0], forbidden=[[1, 3]]).segments.tolist() == [[1, 1, 3]]


def test_forbidden_pairs_stay_apart_on_every_way():
    ring = RegionGraph(np.array([[1, 2], [1, 4], [2, 3], [3, 4]], np.uint64), np.ones(4, int), np.arange(4) / 10)
    assert np.unique(agglomerate(ring, [1.0]).segments).tolist() == [1]
    one = agglomerate(ring, [1.0], forbidden=[[4, 2], [7, 8], [3, 3]]).segments[0]
    assert one.tolist() == [1, 1, 1, 4]


def test_objects_of_a_volume_come_back_from_its_pieces():
    """Two halves, each cut into slabs; the boundary between the halves is strong, that between slabs weak."""
    slabs = np.repeat(np.arange(1, 9), 3)[:, None, None] * np.ones((1, 8, 8), int)
    slabs = np.where(np.arange(8) < 4, slabs, slabs + 8)
    boundary = np.full(slabs.shape, 0.125)
    boundary[..., 3:5] = 0.875
    graph = build_region_graph(slabs, boundary_to_affinities(boundary), direct_offsets())
    segments = agglomerate(graph, [0.5]).segments[0]
    assert segments.tolist() == [1] * 8 + [9] * 8


def test_no_edges_leave_every_fragment_alone():
    graph = build_region_graph(np.full((2, 2), 3), np.ones((2, 2, 2)), direct_offsets(2), histogram=True)
    for quantile in (None, 0.5):
        result = agglomerate(graph, [0.5, 1.0], quantile=quantile)
        assert (result.fragments.shape, result.segments.shape) == ((0,), (2, 0))
    assert absorb_small(graph, [3], [3], [1], 10).tolist() == [3]


@pytest.mark.parametrize("quantile", [None, 0.5])
@settings(max_examples=40, deadline=None)
@given(seed=seeds, min_size=st.integers(0, 30), bound=st.booleans())
def test_absorbing_equals_the_slow_merger(quantile, seed, min_size, bound):
    graph, steps = random_graph(seed, levels=3)
    fragments = np.unique(graph.edges)
    sizes = np.random.default_rng(seed).integers(1, 12, len(fragments))
    forbidden = np.random.default_rng(seed).integers(1, 10, (2, 2)) if bound else None
    found = absorb_small(graph, fragments, fragments, sizes, min_size, quantile=quantile, forbidden=forbidden)
    size = dict(zip(fragments.tolist(), sizes.tolist(), strict=True))

    def grow(a, b):
        size[a] += size[b]

    pairs = [] if forbidden is None else [pair for pair in forbidden.tolist() if pair[0] != pair[1]]
    slow = SlowMerger(graph, steps, quantile, pairs)
    assert found.tolist() == slow.run(np.inf, lambda a, b: min(size[a], size[b]) < min_size, grow)


def test_tiny_objects_join_their_best_neighbour_by_hand():
    edges = np.array([[1, 2], [2, 3], [3, 4], [5, 6]], np.uint64)
    graph = RegionGraph(edges, np.ones(4, int), np.array([0.9, 0.8, 0.1, 0.0]))
    fragments, segments = [1, 2, 3, 4, 5, 6], [1, 2, 3, 3, 5, 6]
    sizes = [50, 3, 20, 20, 4, 5]
    assert absorb_small(graph, fragments, segments, sizes, 10).tolist() == [1, 2, 2, 2, 5, 5]
    assert absorb_small(graph, fragments, segments, sizes, 4).tolist() == [1, 2, 2, 2, 5, 6]
    assert absorb_small(graph, fragments, segments, sizes, 0).tolist() == segments
    kept_apart = absorb_small(graph, fragments, segments, sizes, 4, forbidden=[[2, 4]])
    assert kept_apart.tolist() == [1, 1, 3, 3, 5, 6]


def test_faulty_input_is_refused():
    graph = RegionGraph(np.array([[1, 2]], np.uint64), np.array([1]), np.array([0.5]))
    with pytest.raises(ValueError, match=r"thresholds must be boundary strengths from 0 to 1, at least one; got \[\]"):
        agglomerate(graph, [])
    with pytest.raises(ValueError, match=r"at least one; got \[0.5, 128\]"):
        agglomerate(graph, [0.5, 128])
    with pytest.raises(ValueError, match="quantile must be from 0 to 1, or None for the mean; got 50"):
        agglomerate(graph, [0.5], quantile=50)
    with pytest.raises(ValueError, match=r"scoring by quantile 0.5 needs a region graph with histogram=True"):
        agglomerate(graph, [0.5], quantile=0.5)
    with pytest.raises(ValueError, match=r"forbidden must hold pairs of ids, M 2 whole numbers; got int64 \(2,\)"):
        agglomerate(graph, [0.5], forbidden=[1, 2])
    with pytest.raises(ValueError, match="fragments must list all that the graph names, but 1 lack, such as 2"):
        absorb_small(graph, [1], [1], [5], 3)
    with pytest.raises(ValueError, match=r"sizes has shape \(1,\)"):
        absorb_small(graph, [1, 2], [1, 2], [5], 3)
