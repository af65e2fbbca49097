"""Skeletons of tubes of known length, and of shapes with known loops."""

import itertools

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from tests.segmentation import volumes

from scripts.segmentation import skeletonize, write_swc
from scripts.segmentation.skeleton import Skeleton


def tube(shape, points, radius, spacing=(1.0, 1.0, 1.0)):
    """Voxels within a radius of a polyline."""
    where = np.moveaxis(np.indices(shape), 0, -1) * np.array(spacing)
    mask = np.zeros(shape, bool)
    for a, b in itertools.pairwise(points):
        a, b = np.array(a, float), np.array(b, float)
        along = np.clip((where - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        mask |= np.linalg.norm(where - (a + along[..., None] * (b - a)), axis=-1) <= radius
    return mask


def as_graph(skeleton):
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(skeleton.nodes)))
    graph.add_edges_from(skeleton.edges.tolist())
    return graph


def read_swc(path):
    rows = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
    return {int(row[0]): (tuple(map(float, row[2:5])), float(row[5]), int(row[6])) for row in rows}


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
def test_a_straight_tube_has_its_axis_its_length_and_its_radius(spacing):
    mask = tube((30, 21, 21), [(8 * spacing[0], 10, 10), (21 * spacing[0], 10, 10)], 4.0, spacing)
    skeleton = skeletonize(mask, spacing, (50.0, 5.0, 0.0))
    assert np.abs(skeleton.nodes[:, 1:] - [15, 10]).max() <= 1
    assert skeleton.length == pytest.approx(13 * spacing[0], abs=8)  # ends may reach up to the surface
    inner = np.abs(skeleton.nodes[:, 0] - 50 - 14.5 * spacing[0]) < 5 * spacing[0]
    np.testing.assert_allclose(skeleton.radii[inner], 4.0, atol=0.75)


def test_the_length_is_physical():
    line = np.zeros((3, 3, 9), bool)
    line[1, 1, 1:8] = True
    assert skeletonize(line, (1.0, 1.0, 2.5)).length == 6 * 2.5
    diagonal = np.zeros((7, 7, 7), bool)
    diagonal[range(7), range(7), range(7)] = True
    assert skeletonize(diagonal, (3.0, 4.0, 12.0)).length == pytest.approx(6 * 13)
    assert skeletonize(diagonal, (3.0, 4.0, 12.0)).edges.tolist() == [[i, i + 1] for i in range(6)]


def test_a_fork_has_three_ends():
    joint = (12, 12, 12)
    mask = np.zeros((25, 25, 25), bool)
    for end in [(12, 2, 12), (12, 20, 4), (12, 20, 20)]:
        mask |= tube(mask.shape, [joint, end], 2.0)
    graph = as_graph(skeletonize(mask, (1.0, 1.0, 1.0)))
    assert networkx.is_tree(graph)
    assert sum(degree == 1 for _, degree in graph.degree) == 3


def test_a_ring_has_one_loop():
    z, y, x = np.indices((9, 30, 30))
    ring = (np.hypot(y - 15, x - 15) - 10) ** 2 + (z - 4) ** 2 <= 4
    skeleton = skeletonize(ring, (1.0, 1.0, 1.0))
    graph = as_graph(skeleton)
    assert networkx.is_connected(graph)
    assert graph.number_of_edges() - graph.number_of_nodes() + 1 == 1
    assert skeleton.length == pytest.approx(2 * np.pi * 10, rel=0.12)  # steps of a voxel grid


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), density=st.sampled_from([0.1, 0.3, 0.7]))
def test_no_three_nodes_are_all_linked_and_parts_stay_in_one_piece(seed, density):
    mask = volumes.ids((6, 7, 8), seed, density=density) > 0
    skeleton = skeletonize(mask, (3.0, 1.0, 1.5))
    graph = as_graph(skeleton)
    assert sum(networkx.triangles(graph).values()) == 0
    assert networkx.number_connected_components(graph) == ndimage.label(mask, np.ones((3, 3, 3)))[1]
    assert (skeleton.radii > 0).all()


def test_radii_are_distances_to_the_surface():
    ball = volumes.balls((21, 21, 21), [(10, 10, 10)], [8.0]) > 0
    skeleton = skeletonize(ball, (1.0, 1.0, 1.0))
    expected = 8.0 - np.linalg.norm(skeleton.nodes - 10, axis=1)
    np.testing.assert_allclose(skeleton.radii, expected, atol=0.75)


def test_a_tree_is_written_with_parents_first(tmp_path):
    nodes = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [2, 5, 0], [9, 9, 9]])
    skeleton = Skeleton(nodes, np.array([[0, 1], [1, 2], [1, 3]]), np.arange(5) + 0.5)
    write_swc(tmp_path / "x.swc", skeleton)
    rows = read_swc(tmp_path / "x.swc")
    assert list(rows) == [1, 2, 3, 4, 5]
    assert rows[1] == ((0, 0, 0), 0.5, -1)  # an end is the root
    assert rows[2] == ((0, 0, 1), 1.5, 1)
    assert {rows[3], rows[4]} == {((0, 0, 2), 2.5, 2), ((0, 5, 2), 3.5, 2)}
    assert rows[5] == ((9, 9, 9), 4.5, -1)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_node_is_written_once_and_every_loop_is_cut(seed, tmp_path_factory):
    mask = volumes.ids((5, 6, 7), seed, density=0.35) > 0
    mask[2, 3, 3] = True
    skeleton = skeletonize(mask, (3.0, 1.0, 1.5))
    path = tmp_path_factory.mktemp("swc") / "x.swc"
    write_swc(path, skeleton)
    rows = read_swc(path)
    assert all(parent < number for number, (_, _, parent) in rows.items())
    assert sorted(place for place, _, _ in rows.values()) == sorted(map(tuple, skeleton.nodes[:, ::-1].tolist()))
    graph = as_graph(skeleton)
    assert sum(parent == -1 for _, _, parent in rows.values()) == networkx.number_connected_components(graph)
    node = {tuple(place): i for i, place in enumerate(skeleton.nodes[:, ::-1].tolist())}
    for place, _, parent in rows.values():
        assert parent == -1 or graph.has_edge(node[place], node[rows[parent][0]])


def test_a_part_that_thins_to_nothing_is_one_node():
    mask = np.zeros((4, 4, 12), bool)
    mask[1:3, 1:3, 1:3] = mask[0, 0, 5:] = True
    skeleton = skeletonize(mask, (1.0, 1.0, 1.0))
    assert len(skeleton.nodes) == 8
    assert set(skeleton.nodes[-1].tolist()) <= {1, 2}  # in the cube; the others are the line
    assert skeleton.edges.tolist() == [[i, i + 1] for i in range(6)]


def test_a_single_voxel_is_one_node(tmp_path):
    skeleton = skeletonize(np.ones((1, 1, 1), bool), (2.0, 4.0, 6.0), (7.0, 8.0, 9.0))
    assert (skeleton.nodes.tolist(), skeleton.edges.shape, skeleton.length) == ([[7, 8, 9]], (0, 2), 0)
    assert skeleton.radii.tolist() == [1.0]
    write_swc(tmp_path / "x.swc", skeleton)
    assert read_swc(tmp_path / "x.swc") == {1: ((9, 8, 7), 1.0, -1)}


def test_faulty_input_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"mask of shape \(2, 2, 2\) holds no voxel"):
        skeletonize(np.zeros((2, 2, 2), bool), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match=r"mask must have shape D H W, got \(2, 2\)"):
        skeletonize(np.ones((2, 2), bool), (1.0, 1.0))
    with pytest.raises(TypeError, match="mask must be boolean, got float64"):
        skeletonize(np.ones((2, 2, 2)), (1.0, 1.0, 1.0))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_swc(tmp_path / "nowhere" / "x.swc", skeletonize(np.ones((2, 2, 2), bool), (1.0, 1.0, 1.0)))
