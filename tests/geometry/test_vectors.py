"""Components under a change of grid, against points and planes that are moved by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scripts.geometry.vectors import reorient_normals, reorient_vectors, unit_vectors

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 1.0, 1.5)]


def scaled(*spacing: float) -> torch.Tensor:
    return torch.diag(torch.tensor([*spacing, 1.0], dtype=torch.float64))


def affine_of(linear: np.ndarray) -> torch.Tensor:
    affine = torch.eye(len(linear) + 1, dtype=torch.float64)
    affine[:-1, :-1] = torch.as_tensor(linear)
    return affine


def field(values) -> torch.Tensor:
    """One vector -> C 1 1 1 (or C 1 1)."""
    values = torch.as_tensor(values, dtype=torch.float64)
    return values.reshape(len(values), *[1] * len(values))


def signed_permutations():
    return st.tuples(st.permutations(range(3)), st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)).map(
        lambda drawn: np.diag(drawn[1]) @ np.eye(3)[:, list(drawn[0])]
    )


def invertible_maps():
    entries = st.lists(st.floats(-2, 2), min_size=9, max_size=9).map(
        lambda values: np.reshape(np.round(values, 3), (3, 3))
    )
    return entries.filter(lambda matrix: abs(np.linalg.det(matrix)) > 0.2)


directions = st.lists(st.floats(-5, 5), min_size=3, max_size=3).filter(lambda v: np.linalg.norm(v) > 0.1)


@pytest.mark.parametrize("spacing", SPACINGS)
@settings(max_examples=60, deadline=None)
@given(old_from_new=invertible_maps(), first=directions, second=directions)
def test_a_vector_is_the_difference_of_moved_points(spacing, old_from_new, first, second):
    """Push two points through: old physical -> old index -> new index -> position in the array as it is then read."""
    first, second = np.array(first), np.array(second)

    def moved(point):
        return np.array(spacing) * np.linalg.solve(old_from_new, point / np.array(spacing))

    reference = scaled(*spacing)
    out = reorient_vectors(field(second - first), reference, reference @ affine_of(old_from_new))
    np.testing.assert_allclose(out.flatten(), moved(second) - moved(first), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("spacing", SPACINGS)
@settings(max_examples=60, deadline=None)
@given(old_from_new=invertible_maps(), first=directions, second=directions)
@example(old_from_new=np.array([[1.0, 0, 0], [0, 0, 1], [1, 1, 0]]), first=[0.0, 1, 0], second=[2.0**-24, 0, 1])
def test_a_normal_stays_at_right_angles_to_moved_tangents(spacing, old_from_new, first, second):
    normal = np.cross(first, second)
    if np.linalg.norm(normal) < 0.1:
        return
    normal = normal / np.linalg.norm(normal)
    reference = scaled(*spacing)
    affine = reference @ affine_of(old_from_new)
    turned = reorient_normals(field(normal), reference, affine).flatten()
    for tangent in (first, second):
        moved = reorient_vectors(field(tangent), reference, affine).flatten()
        assert abs(float(turned @ moved)) <= 1e-8 * float(moved.norm())
    assert float(turned.norm()) == pytest.approx(1, abs=1e-6)  # what is as near as that is not rescaled
    # it stays on the side on which it was: the point at its tip lies in front of the moved plane
    tip = reorient_vectors(field(normal), reference, affine).flatten()
    assert float(turned @ tip) > 0


@settings(max_examples=60, deadline=None)
@given(chain=st.lists(signed_permutations(), min_size=1, max_size=6), normal=directions)
def test_chains_of_flips_and_quarter_turns_are_exact_permutations(chain, normal):
    """Isotropic: the result is the permuted, sign-changed normal itself, in float32 and however long the chain."""
    normal = torch.tensor(normal) / torch.tensor(normal).norm()
    reference = scaled(1.25, 1.25, 1.25)
    old_from_new = np.linalg.multi_dot([np.eye(3), *chain, np.eye(3)])
    expected = old_from_new.T @ normal.double().numpy()
    out = reorient_normals(field(normal).float(), reference, reference @ affine_of(old_from_new))
    assert out.dtype == torch.float32
    np.testing.assert_allclose(out.flatten(), expected, atol=1e-6)


@pytest.mark.parametrize("spacing", SPACINGS)
@settings(max_examples=40, deadline=None)
@given(first=signed_permutations(), second=signed_permutations(), normal=directions)
def test_two_steps_are_one(spacing, first, second, normal):
    reference = scaled(*spacing)
    between, after = reference @ affine_of(first), reference @ affine_of(first @ second)
    direct = reorient_normals(field(normal), reference, after)
    stepped = reorient_normals(reorient_normals(field(normal), reference, between), between, after, spacing)
    np.testing.assert_allclose(stepped.flatten(), direct.flatten(), atol=1e-6)  # lengths of 1 to 1e-6 are left alone
    back = reorient_normals(direct, after, reference, spacing)
    np.testing.assert_allclose(back.flatten(), np.array(normal) / np.linalg.norm(normal), atol=1e-6)


def test_a_quarter_turn_across_unequal_axes_by_hand():
    """Spacing (3, 1), n = (1, 1) / sqrt(2): phi = z + y = 3 i + j. The new array swaps the axes, i = j' and j = i', so
    phi = 3 j' + i'; read with spacing (3, 1) again, d phi / dz' = 1 / 3 and d phi / dy' = 3: (1, 9) / sqrt(82).
    """
    reference = scaled(3, 1)
    swapped = reference @ affine_of(np.array([[0.0, 1.0], [1.0, 0.0]]))
    out = reorient_normals(field([math.sqrt(0.5), math.sqrt(0.5)]), reference, swapped)
    np.testing.assert_allclose(out.flatten(), np.array([1, 9]) / math.sqrt(82), atol=1e-12)


def test_identity_zero_and_nan():
    normals = torch.nn.functional.normalize(torch.randn(3, 4, 4, 4), dim=0)
    normals[:, 0, 0, 0] = 0
    normals[:, 1, 1, 1] = float("nan")
    same = reorient_normals(normals, scaled(3, 1, 1.5), scaled(3, 1, 1.5))
    assert torch.equal(torch.nan_to_num(same, nan=7.0), torch.nan_to_num(normals, nan=7.0))
    assert torch.equal(
        torch.nan_to_num(reorient_vectors(9 * normals, scaled(3, 1, 1.5), scaled(3, 1, 1.5)), nan=7.0),
        torch.nan_to_num(9 * normals, nan=7.0),
    )
    turned = affine_of(np.array([[0.9, 0.2, 0], [-0.3, 1.1, 0], [0, 0.1, 1]])) @ scaled(3, 1, 1.5)
    for reorient in (reorient_normals, reorient_vectors):
        out = reorient(normals, scaled(3, 1, 1.5), turned)
        assert torch.equal(out[:, 0, 0, 0], torch.zeros(3))
        assert out[:, 1, 1, 1].isnan().all()
        assert int(out.isnan().sum()) == 3


def test_interpolated_normals_become_unit_length_and_cancelled_ones_zero():
    vectors = torch.tensor([[0.0, 0.6, 1e-8], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).reshape(3, 1, 1, 3)
    expected = torch.tensor([0.0, 1.0, 0.0])
    assert torch.equal(reorient_normals(vectors, torch.eye(4), torch.eye(4))[0, 0, 0], expected)
    assert torch.equal(unit_vectors(vectors)[0, 0, 0], expected)


def test_the_nominal_spacing_may_differ_from_the_reference():
    """The same swap, but the reference affine was zoomed: only the nominal spacing decides."""
    zoomed = scaled(30, 10)
    swapped = zoomed @ affine_of(np.array([[0.0, 1.0], [1.0, 0.0]]))
    normal = field([math.sqrt(0.5), math.sqrt(0.5)])
    isotropic = reorient_normals(normal, zoomed, swapped, spacing=(1, 1))
    np.testing.assert_allclose(isotropic.flatten(), [math.sqrt(0.5)] * 2, atol=1e-12)
    assert torch.equal(
        reorient_vectors(field([1.0, 2.0]), zoomed, swapped, spacing=(1, 1)).flatten(), torch.tensor([2.0, 1.0])
    )


@pytest.mark.parametrize("reorient", [reorient_normals, reorient_vectors])
def test_wrong_arguments(reorient):
    with pytest.raises(ValueError, match=r"must have shape 3 D H W .* got \(2, 4, 4, 4\)"):
        reorient(torch.zeros(2, 4, 4, 4), torch.eye(4), torch.eye(4))
    with pytest.raises(ValueError, match=r"got \(3, 3, 4, 4, 4\)"):
        reorient(torch.zeros(3, 3, 4, 4, 4), torch.eye(4), torch.eye(4))
    with pytest.raises(ValueError, match="reference_affine is singular"):
        reorient(torch.zeros(3, 4, 4, 4), torch.zeros(4, 4), torch.eye(4))
    with pytest.raises(ValueError, match=r"^affine is singular"):
        reorient(torch.zeros(3, 4, 4, 4), torch.eye(4), torch.zeros(4, 4))
    with pytest.raises(ValueError, match=r"spacing must hold 3 lengths .*\(1, 2\)"):
        reorient(torch.zeros(3, 4, 4, 4), torch.eye(4), torch.eye(4), spacing=(1, 2))
