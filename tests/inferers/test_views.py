"""Views against NumPy's flips and turns, and against the formulas for normals and vectors under any affine."""

import itertools

import numpy as np
import pytest
import torch

from scripts.geometry import Kind
from scripts.geometry.vectors import reorient_normals, reorient_vectors
from scripts.inferers.views import View, list_views

ALL = list_views(("z", "y", "x"), ("zy", "zx", "yx"))
UNEQUAL = (3.0, 1.0, 1.5)


@pytest.mark.parametrize(
    ("mirrors", "planes", "count"),
    [
        ("", [], 1),
        ("x", [], 2),
        ("zy", [], 4),
        ("zyx", [], 8),
        ("", ["yx"], 4),
        ("z", ["yx"], 8),
        ("y", ["yx"], 8),
        ("zx", ["yx"], 16),
        ("", ["zy", "yx"], 24),
        ("", ["zy", "zx", "yx"], 24),
        ("y", ["zx", "yx"], 48),
        ("zyx", ["zy", "zx", "yx"], 48),
    ],
)
def test_each_distinct_view_counts_once(mirrors, planes, count):
    views = list_views(tuple(mirrors), tuple(planes))
    assert len(views) == len(set(views)) == count
    assert views[0] == View((0, 1, 2), (1, 1, 1))


def test_in_two_dimensions_there_are_eight():
    assert len(list_views(("y", "x"), ("yx",), 2)) == 8
    assert len(list_views((), ("yx",), 2)) == 4


def test_mirrors_are_numpys_flips():
    window = np.arange(24).reshape(2, 3, 4)
    shown = {
        view.show(torch.from_numpy(window)[None, None])[0, 0].numpy().tobytes() for view in ALL if _is_mirror(view)
    }
    subsets = [axes for n in range(4) for axes in itertools.combinations(range(3), n)]
    assert shown == {np.flip(window, axes).tobytes() for axes in subsets}


@pytest.mark.parametrize(("plane", "axes"), [("zy", (0, 1)), ("zx", (0, 2)), ("yx", (1, 2))])
def test_turns_are_numpys_quarter_turns(plane, axes):
    window = np.arange(27).reshape(3, 3, 3)
    views = list_views((), (plane,))
    shown = {view.show(torch.from_numpy(window)[None, None])[0, 0].numpy().tobytes() for view in views}
    assert shown == {np.rot90(window, k, axes).tobytes() for k in range(4)}


@pytest.mark.parametrize("view", ALL, ids=str)
def test_a_view_undone_is_the_window(view):
    windows = torch.rand(2, 3, 4, 5, 6)
    torch.testing.assert_close(view.undo(view.show(windows), Kind.SCALAR, (1, 1, 1)), windows, rtol=0, atol=0)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), UNEQUAL])
@pytest.mark.parametrize("view", ALL, ids=str)
def test_components_undo_what_the_affine_does(view, spacing):
    """What a change of grid makes of a field, the view takes back; normals may have any length."""
    reference = torch.diag(torch.tensor([*spacing, 1.0], dtype=torch.float64))
    old_from_new = torch.eye(4, dtype=torch.float64)  # M, column by column: where one step along the view's axis leads
    old_from_new[:3, :3] = 0
    for axis, (old, sign) in enumerate(zip(view.order, view.signs, strict=True)):
        old_from_new[old, axis] = sign
    field = torch.randn(3, 2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    length = torch.rand(1, 2, 3, 4, dtype=torch.float64) + 0.5
    normals = length * field / field.norm(dim=0)
    moved = view.show(field[None])[0], view.show(normals[None])[0]
    seen_vectors = reorient_vectors(moved[0], reference, reference @ old_from_new)
    seen_normals = reorient_normals(moved[1], reference, reference @ old_from_new) * view.show(length[None])[0]

    torch.testing.assert_close(view.undo(seen_vectors[None], Kind.VECTOR, spacing)[0], field)
    torch.testing.assert_close(view.undo(seen_normals[None], Kind.NORMAL, spacing)[0], normals)


def test_a_normal_of_zero_stays_zero():
    view = list_views((), ("zy",))[1]
    assert not view.undo(torch.zeros(1, 3, 2, 2, 2), Kind.NORMAL, UNEQUAL).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((("w",),), r"mirror_axes must be a list of names out of z, y, x; got 'w'"),
        (((), ("xy",)), r"rotation_planes must be a list of names out of zy, zx, yx; got 'xy'"),
        ((("z",), (), 2), r"mirror_axes must be a list of names out of y, x; got 'z'"),
        (((), ("zx",), 2), r"rotation_planes must be a list of names out of yx; got 'zx'"),
    ],
)
def test_unknown_names(arguments, message):
    with pytest.raises(ValueError, match=message):
        list_views(*arguments)


def _is_mirror(view):
    return view.order == (0, 1, 2)
