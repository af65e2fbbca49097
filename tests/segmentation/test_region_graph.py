"""Region graphs against a look at every pair of voxels, and blocks against the whole volume."""

import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.segmentation import volumes

from scripts.segmentation import (
    RegionGraph,
    boundary_to_affinities,
    build_region_graph,
    contract_region_graph,
    direct_offsets,
    merge_region_graphs,
)

OFFSETS = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -1, 0), (-2, 0, 1), (0, 0, 9)]
shapes = st.tuples(*[st.integers(1, 6)] * 3)
seeds = st.integers(0, 2**32 - 1)


def noise(shape, seed, channels=6):
    return (np.random.default_rng(seed).random((channels, *shape)) ** 3).astype(np.float32)  # many bits below 2^-24


def by_hand(fragments, affinities, offsets):
    strengths = defaultdict(list)
    for channel, offset in zip(affinities, offsets, strict=True):
        for place in itertools.product(*map(range, fragments.shape)):
            partner = tuple(a + b for a, b in zip(place, offset, strict=True))
            if all(0 <= a < n for a, n in zip(partner, fragments.shape, strict=True)):
                ends = sorted((int(fragments[place]), int(fragments[partner])))
                if ends[0] and ends[0] != ends[1]:
                    strengths[tuple(ends)].append(1 - float(channel[place]))
    return strengths


def check(graph, strengths):
    assert [tuple(edge) for edge in graph.edges.tolist()] == sorted(strengths)
    values = [np.array(strengths[edge]) for edge in sorted(strengths)]
    assert graph.count.tolist() == list(map(len, values))
    np.testing.assert_allclose(graph.total, [value.sum() for value in values], rtol=1e-6)
    if graph.histogram is not None:
        rows = [np.bincount(np.rint(value * 255).astype(int), minlength=256) for value in values]
        assert np.array_equal(graph.histogram.toarray(), np.reshape(rows, (-1, 256)))


def same(one, two):
    ours, theirs = one.to_arrays(), two.to_arrays()
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("unit", [1, 2**33, 2**61 + 3])
@settings(max_examples=40, deadline=None)
@given(shape=shapes, seed=seeds)
def test_counts_sums_and_histograms_are_those_of_the_voxel_edges(unit, shape, seed):
    fragments = volumes.ids(shape, seed, highest=6).astype(np.uint64) * unit
    affinities = noise(shape, seed)
    graph = build_region_graph(fragments, affinities, OFFSETS, histogram=True)
    assert (graph.edges.dtype, graph.count.dtype, graph.total.dtype) == (np.uint64, np.int64, np.float64)
    check(graph, by_hand(fragments, affinities, OFFSETS))


@pytest.mark.parametrize("histogram", [False, True])
@settings(max_examples=60, deadline=None)
@given(shape=shapes, seed=seeds, cuts=volumes.cut_positions())
def test_graphs_of_blocks_add_up_to_the_graph_of_the_volume(histogram, shape, seed, cuts):
    """To the last bit, with a halo of fragments as wide as the offsets."""
    fragments, affinities = volumes.ids(shape, seed, highest=6), noise(shape, seed)
    graphs = []
    for block in volumes.cut(shape, cuts):
        halo = block.grown(shape, by=9)
        known = np.zeros_like(affinities[:, *halo.box])
        own = block.within(halo)
        known[:, *own] = affinities[:, *block.box]  # affinities of other blocks are not read
        graphs.append(build_region_graph(fragments[halo.box], known, OFFSETS, own=own, histogram=histogram))
    whole = build_region_graph(fragments, affinities, OFFSETS, histogram=histogram)
    assert same(merge_region_graphs(graphs), whole)


@settings(max_examples=30, deadline=None)
@given(shape=shapes, seed=seeds, cuts=volumes.cut_positions())
def test_direct_neighbours_need_one_voxel_at_the_upper_sides(shape, seed, cuts):
    fragments, boundary = volumes.ids(shape, seed, highest=6), noise(shape, seed, 1)[0]
    graphs = []
    for block in volumes.cut(shape, cuts):
        upper = tuple(slice(a, b + 1) for a, b in zip(block.start, block.stop, strict=True))
        own = tuple(slice(0, n) for n in block.size)
        affinities = boundary_to_affinities(boundary[upper])
        graphs.append(build_region_graph(fragments[upper], affinities, direct_offsets(), own=own))
    whole = build_region_graph(fragments, boundary_to_affinities(boundary), direct_offsets())
    assert same(merge_region_graphs(graphs), whole)


def test_a_boundary_between_two_fragments_by_hand():
    fragments = np.array([[4, 4, 9], [4, 9, 9]])
    boundary = np.array([[0.0, 0.25, 0.5], [0.25, 1.0, 0.0]])
    graph = build_region_graph(fragments, boundary_to_affinities(boundary), direct_offsets(2), histogram=True)
    assert graph.edges.tolist() == [[4, 9]]
    assert graph.count.tolist() == [3]
    assert graph.total.tolist() == [0.5 + 1.0 + 1.0]
    assert np.flatnonzero(graph.histogram.toarray()[0]).tolist() == [128, 255]


@pytest.mark.parametrize("fragments", [np.zeros((2, 3, 4), int), np.full((2, 3, 4), 7)])
def test_no_two_fragments_have_no_edge(fragments):
    graph = build_region_graph(fragments, np.ones((3, 2, 3, 4)), direct_offsets(), histogram=True)
    assert (len(graph), graph.edges.shape, graph.histogram.shape) == (0, (0, 2), (0, 256))
    assert same(merge_region_graphs([graph, graph]), graph)


@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_contracting_equals_the_graph_of_the_merged_fragments(seed):
    shape = (4, 5, 6)
    fragments, affinities = volumes.ids(shape, seed, highest=9), noise(shape, seed)
    table = np.concatenate([[0], np.random.default_rng(seed).integers(1, 5, 8), [9]])  # 9 is not listed below
    graph = build_region_graph(fragments, affinities, OFFSETS, histogram=True)
    contracted = contract_region_graph(graph, np.arange(1, 9), table[1:9])
    assert same(contracted, build_region_graph(table[fragments], affinities, OFFSETS, histogram=True))


@pytest.mark.parametrize("histogram", [False, True])
def test_a_graph_survives_being_stored(histogram, tmp_path):
    fragments, affinities = volumes.ids((4, 5, 6), 0, highest=9), noise((4, 5, 6), 0)
    graph = build_region_graph(fragments, affinities, OFFSETS, histogram=histogram)
    np.savez(tmp_path / "graph.npz", **graph.to_arrays())
    with np.load(tmp_path / "graph.npz") as stored:
        again = RegionGraph.from_arrays(stored)
    assert (again.histogram is None) is not histogram
    assert same(graph, again)


def test_faulty_input_is_refused():
    fragments, affinities = np.ones((2, 3), int), np.ones((1, 2, 3))
    with pytest.raises(TypeError, match="fragments must hold whole numbers in an integer dtype, got float64"):
        build_region_graph(fragments * 1.0, affinities, [(0, 1)])
    with pytest.raises(ValueError, match=r"fragments has shape \(1, 3\), but the array .* has \(2, 3\)"):
        build_region_graph(fragments[:1], affinities, [(0, 1)])
    with pytest.raises(ValueError, match="affinities have 1 channels, but there are 2 offsets"):
        build_region_graph(fragments, affinities, [(0, 1), (1, 0)])
    with pytest.raises(ValueError, match="own must hold one slice per axis, 2; got 3"):
        build_region_graph(fragments, affinities, [(0, 1)], own=[slice(0, 1)] * 3)
    with pytest.raises(ValueError, match="no region graph to merge"):
        merge_region_graphs([])
    graph = build_region_graph(fragments, affinities, [(0, 1)])
    full = build_region_graph(fragments, affinities, [(0, 1)], histogram=True)
    with pytest.raises(ValueError, match="1 of 2 region graphs hold histograms; all or none must"):
        merge_region_graphs([graph, full])
    with pytest.raises(ValueError, match=r"segments has shape \(1,\)"):
        contract_region_graph(graph, [1, 2], [1])
