"""The deformation and its gradient against SciPy's B-splines, and what becomes of components in a known warp."""

import numpy as np
import pytest
import torch
from scipy.interpolate import NdBSpline

from scripts.geometry.elastic import (
    MOST_DISPLACEMENT,
    control_shape,
    displacement,
    displacement_gradient,
    warp_normals,
    warp_vectors,
)

SIZE, INTERVALS = (12, 20, 9), (2, 4, 1)


def coefficients(most=1.0, intervals=INTERVALS, seed=0):
    drawn = np.random.default_rng(seed).uniform(-1, 1, (len(intervals), *control_shape(intervals)))
    return torch.from_numpy(drawn * np.broadcast_to(most, len(intervals)).reshape(-1, *[1] * len(intervals)))


def spline(component, intervals=INTERVALS):
    """SciPy's spline with knots at whole numbers, the extent being 0 to the number of intervals."""
    knots = tuple(np.arange(-3.0, n + 4) for n in intervals)
    return NdBSpline(knots, component.numpy(), 3)


def places(size=SIZE, intervals=INTERVALS):
    axes = [(np.arange(n) + 0.5) * k / n for n, k in zip(size, intervals, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def test_the_displacement_is_a_b_spline_over_the_array():
    drawn = coefficients()
    found = displacement(drawn, SIZE)
    for component, result in zip(drawn, found, strict=True):
        np.testing.assert_allclose(result, spline(component)(places()), atol=1e-12)
    assert found.abs().max() <= drawn.abs().max()


def test_the_gradient_is_exact():
    drawn = coefficients()
    found = displacement_gradient(drawn, SIZE)
    for axis, (n, k) in enumerate(zip(SIZE, INTERVALS, strict=True)):
        order = [int(a == axis) for a in range(3)]
        for component in range(3):
            expected = spline(drawn[component])(places(), nu=order) * k / n
            np.testing.assert_allclose(found[component, axis], expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_folds_at_the_largest_displacement(seed):
    size, intervals = (24, 30, 36), (2, 3, 4)
    most = [MOST_DISPLACEMENT * n / k for n, k in zip(size, intervals, strict=True)]
    drawn = coefficients(most, intervals, seed).sign() * torch.tensor(most).reshape(3, 1, 1, 1)  # each as far as it may
    jacobian = displacement_gradient(drawn, size) + torch.eye(3).reshape(3, 3, 1, 1, 1)
    assert torch.linalg.det(jacobian.movedim((0, 1), (-2, -1))).min() > 0


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.5)])
def test_components_follow_a_known_warp(spacing):
    """Old index x = i + 2 sin(i / 5): the normal of a level set and a chord between two points, both known exactly."""
    scale = torch.tensor(spacing, dtype=torch.float64).reshape(3, 1, 1, 1)
    index = torch.stack(torch.meshgrid(*(torch.arange(n) for n in SIZE), indexing="ij")).double().requires_grad_()
    old = index + 2 * torch.sin(index.flip(0) / 5)
    centre = torch.tensor([3.2, 9.1, -4.0], dtype=torch.float64).reshape(3, 1, 1, 1)
    offset = (old - centre) * scale
    phi = offset.norm(dim=0)  # distance to a sphere's centre
    (slope,) = torch.autograd.grad(phi.sum(), index, retain_graph=True)
    jacobian = torch.stack([torch.autograd.grad(one.sum(), index, retain_graph=True)[0] for one in old])
    found = warp_normals((offset / phi).detach(), jacobian, spacing)
    torch.testing.assert_close(found, slope / scale)
    # a vector is a tiny chord: where the old index moves by d, the new one moves by the solution of J e = d
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(3, *SIZE)))
    solved = np.linalg.solve(
        jacobian.numpy().transpose(2, 3, 4, 0, 1), np.moveaxis((vectors / scale).numpy(), 0, -1)[..., None]
    )
    np.testing.assert_allclose(
        warp_vectors(vectors, jacobian, spacing), np.moveaxis(solved[..., 0], -1, 0) * scale.numpy()
    )


def test_two_dimensions_zero_and_unknown():
    jacobian = torch.tensor([[1.0, 0.5], [-0.2, 2.0]]).reshape(2, 2, 1, 1).repeat(1, 1, 1, 3)
    field = torch.tensor([[[0.0, 1.0, torch.nan]], [[0.0, 2.0, torch.nan]]])
    normals = warp_normals(field, jacobian, (1, 1))
    assert normals[:, 0, :2].tolist() == [[0.0, pytest.approx(0.6)], [0.0, pytest.approx(4.5)]]  # J^T (1, 2)
    vectors = warp_vectors(field, jacobian, (1, 1))
    assert vectors[:, 0, 1].tolist() == pytest.approx([1.0 / 2.1, 2.2 / 2.1])  # J^-1 (1, 2), determinant 2.1
    assert normals[:, 0, 2].isnan().all()
    assert vectors[:, 0, 2].isnan().all()
    assert vectors[:, 0, 0].tolist() == [0, 0]
