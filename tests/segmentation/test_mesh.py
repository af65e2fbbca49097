"""Surfaces of balls and boxes of known volume, and files read back by readers of their own."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.segmentation import volumes

from scripts.segmentation import surface_mesh, write_obj, write_ply


def directed_edges(faces):
    return Counter(map(tuple, np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).tolist()))


def volume(vertices, faces):
    """Positive when the faces turn outwards in the right-handed system of the three columns."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return np.einsum("ni,ni->", a, np.cross(b, c)) / 6


def read_obj(path):
    lines = [line.split() for line in path.read_text().splitlines()]
    vertices = [list(map(float, line[1:])) for line in lines if line[0] == "v"]
    faces = [list(map(int, line[1:])) for line in lines if line[0] == "f"]
    return np.array(vertices), np.array(faces) - 1


def read_ply(path):
    header, _, body = path.read_bytes().partition(b"end_header\n")
    words = header.decode("ascii").split()
    assert words[:4] == ["ply", "format", "binary_little_endian", "1.0"]
    n = int(words[words.index("vertex") + 1])
    m = int(words[words.index("face") + 1])
    vertices = np.frombuffer(body, "<f8", 3 * n).reshape(n, 3)
    rows = np.frombuffer(body, np.dtype([("count", "u1"), ("corners", "<i4", 3)]), m, offset=24 * n)
    assert (rows["count"] == 3).all()
    assert len(body) == 24 * n + 13 * m
    return vertices, rows["corners"]


@pytest.mark.parametrize("spacing", volumes.SPACINGS)
def test_a_ball_is_closed_and_has_the_volume_of_a_ball(spacing):
    shape = tuple(round(44 / step) for step in spacing)
    mask = volumes.balls(shape, [(21.0, 21.0, 22.5)], [18.0], spacing) > 0
    mesh = surface_mesh(mask, spacing, (100.0, -5.0, 1000.0))
    edges = directed_edges(mesh.faces)
    assert set(edges.values()) == {1}
    assert all((b, a) in edges for a, b in edges)  # each edge in two triangles that turn alike
    assert len(mesh.vertices) - len(edges) // 2 + len(mesh.faces) == 2  # Euler characteristic of a sphere
    ball = 4 / 3 * np.pi * 18**3
    assert volume(mesh.vertices, mesh.faces) == pytest.approx(ball, rel=0.02)
    distance = np.linalg.norm(mesh.vertices - [121.0, 16.0, 1022.5], axis=1)
    assert np.abs(distance - 18).max() < max(spacing)


def test_the_surface_lies_midway_between_voxels_and_ends_beyond_the_array():
    mesh = surface_mesh(np.ones((2, 3, 4), bool), (5.0, 1.0, 2.0), (100.0, 10.0, 0.0))
    assert mesh.vertices.min(axis=0).tolist() == [97.5, 9.5, -1.0]
    assert mesh.vertices.max(axis=0).tolist() == [107.5, 12.5, 7.0]
    box = 10 * 3 * 8
    assert 0.7 * box < volume(mesh.vertices, mesh.faces) < box  # corners are cut


def test_a_place_in_the_array_is_a_place_in_space():
    small = surface_mesh(np.ones((1, 1, 1), bool), (2.0, 3.0, 4.0))
    mask = np.zeros((4, 5, 6), bool)
    mask[3, 2, 1] = True
    moved = surface_mesh(mask, (2.0, 3.0, 4.0))
    np.testing.assert_allclose(moved.vertices - small.vertices, np.tile([6, 6, 4], (len(small.vertices), 1)))
    assert np.array_equal(moved.faces, small.faces)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), density=st.sampled_from([0.2, 0.5, 0.8]))
def test_any_object_has_a_closed_surface(seed, density):
    """Every edge is left as often as it is entered: where parts share an edge there are four triangles."""
    mask = volumes.ids((4, 5, 3), seed, density=density) > 0
    if mask.any():
        edges = directed_edges(surface_mesh(mask, (4.0, 1.0, 1.5)).faces)
        assert all(edges[b, a] == count for (a, b), count in edges.items())


@pytest.mark.parametrize(("write", "read", "suffix"), [(write_obj, read_obj, "obj"), (write_ply, read_ply, "ply")])
def test_files_hold_x_y_z_and_faces_that_turn_outwards(write, read, suffix, tmp_path):
    mask = volumes.balls((10, 14, 18), [(5, 7, 9)], [4.0]) > 0
    mesh = surface_mesh(mask, (4.0, 2.0, 1.0), (1e6, 0.0, -7.0))
    write(tmp_path / f"ball.{suffix}", mesh)
    vertices, faces = read(tmp_path / f"ball.{suffix}")
    np.testing.assert_allclose(vertices, mesh.vertices[:, ::-1], rtol=1e-8)
    assert volume(vertices, faces) == pytest.approx(volume(mesh.vertices, mesh.faces))
    assert volume(vertices, faces) > 0
    assert {frozenset(face) for face in faces.tolist()} == {frozenset(face) for face in mesh.faces.tolist()}


def test_faulty_input_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"mask of shape \(2, 2, 2\) holds no voxel, so there is no object"):
        surface_mesh(np.zeros((2, 2, 2), bool), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match=r"mask must have shape D H W, got \(2, 2\)"):
        surface_mesh(np.ones((2, 2), bool), (1.0, 1.0))
    with pytest.raises(TypeError, match="mask must be boolean, got float32"):
        surface_mesh(np.ones((2, 2, 2), np.float32), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="spacing must hold 3 lengths above 0"):
        surface_mesh(np.ones((2, 2, 2), bool), (1.0, 0.0, 1.0))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_ply(tmp_path / "nowhere" / "x.ply", surface_mesh(np.ones((2, 2, 2), bool), (1.0, 1.0, 1.0)))
