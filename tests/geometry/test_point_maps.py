"""Points carried through affines and deformations, against SciPy's B-splines and analytic fields."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Affine, Compose, Flip, Rotate90, SpatialCrop, SpatialPad
from scipy.interpolate import NdBSpline, make_interp_spline

from scripts.geometry.elastic import MOST_DISPLACEMENT, control_shape, displacement
from scripts.geometry.point_maps import displacement_at, invert_displacement, move_points, unwarp_points
from scripts.geometry.rotations import turn_and_scale

SIZE, INTERVALS = (12, 20, 9), (2, 4, 1)


def coefficients(most=1.0, intervals=INTERVALS, seed=0):
    drawn = np.random.default_rng(seed).uniform(-1, 1, (len(intervals), *control_shape(intervals)))
    return torch.from_numpy(drawn * np.broadcast_to(most, len(intervals)).reshape(-1, *[1] * len(intervals)))


def inside(size, n=400, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).uniform(0, np.array(size) - 1, (n, len(size))))


@pytest.mark.parametrize(("size", "intervals"), [(SIZE, INTERVALS), ((14, 9), (3, 2))], ids=["3D", "2D"])
def test_displacement_and_slope_at_any_position_are_those_of_the_b_spline(size, intervals):
    drawn, points = coefficients(intervals=intervals), inside(size)
    value, slope = displacement_at(drawn, size, points)
    knots = tuple(np.arange(-3.0, k + 4) for k in intervals)
    at = (points.numpy() + 0.5) * intervals / np.array(size)
    for component, controls in enumerate(drawn.numpy()):
        spline = NdBSpline(knots, controls, 3)
        np.testing.assert_allclose(value[:, component], spline(at), atol=1e-12)
        for axis, (n, k) in enumerate(zip(size, intervals, strict=True)):
            order = [int(a == axis) for a in range(len(size))]
            np.testing.assert_allclose(slope[:, component, axis], spline(at, nu=order) * k / n, atol=1e-12)


def test_at_voxels_it_is_the_field_that_images_are_resampled_by():
    index = torch.stack(torch.meshgrid(*(torch.arange(n) for n in SIZE), indexing="ij")).reshape(3, -1).T.double()
    value, _ = displacement_at(coefficients(), SIZE, index)
    torch.testing.assert_close(value.T.reshape(3, *SIZE), displacement(coefficients(), SIZE))


@pytest.mark.parametrize("seed", range(5))
def test_the_strongest_deformation_that_folds_nothing_is_inverted(seed):
    """Every control point is moved as far as it may."""
    size, intervals = (24, 30, 36), (2, 3, 4)
    most = torch.tensor([MOST_DISPLACEMENT * n / k for n, k in zip(size, intervals, strict=True)])
    drawn = coefficients(most, intervals, seed).sign() * most.reshape(3, 1, 1, 1)
    points = inside(size, 3000, seed)
    moved = points + displacement_at(drawn, size, points)[0]
    torch.testing.assert_close(invert_displacement(moved, drawn, size), points, rtol=0, atol=1e-3)


def test_an_analytic_field_is_inverted():
    """x = i + 1.5 sin(i / 5) along each axis, as a spline through its values; the inverse by bisection."""
    n, intervals = 40, 16
    at = np.arange(-1, intervals + 2)  # control points lie on whole numbers, the outermost ones beyond the array
    field = make_interp_spline(at, 1.5 * np.sin((at * n / intervals - 0.5) / 5), 3, bc_type="natural")
    knots = np.arange(-3.0, intervals + 4)
    rows = np.linspace(0, intervals, 400)
    design = NdBSpline.design_matrix(rows[:, None], (knots,), 3).toarray()
    line = torch.from_numpy(np.linalg.lstsq(design, field(rows), rcond=None)[0])
    drawn = torch.stack([line[:, None].expand(-1, len(line)), line[None].expand(len(line), -1)])
    points = inside((n, n), 500)
    low, high = np.full(points.shape, -5.0), np.full(points.shape, n + 5.0)
    for _ in range(60):
        middle = (low + high) / 2
        below = middle + 1.5 * np.sin(middle / 5) < points.numpy()
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    found = invert_displacement(points, drawn, (n, n)).numpy()
    compared = ((low > 1) & (low < n - 2)).all(axis=1)
    assert compared.sum() > 300
    assert np.abs(found - low)[compared].max() < 0.01


def test_points_beyond_the_border_stay_beyond_and_absent_ones_absent():
    drawn = coefficients(0.8)
    points = torch.tensor([[-9.0, 5.0, 4.0], [5.0, 31.0, 4.0], [torch.nan] * 3]).double()
    found = invert_displacement(points, drawn, SIZE)
    assert found[0, 0] < -7
    assert found[1, 1] > 29
    assert found[2].isnan().all()
    assert invert_displacement(points[:0], drawn, SIZE).shape == (0, 3)


def test_where_space_folds_an_answer_is_a_solution_or_nan():
    drawn = coefficients(20.0, (6, 6), 3)
    points = inside((18, 18), 2000)
    found = invert_displacement(points, drawn, (18, 18))
    solved = torch.isfinite(found).all(dim=1)
    assert 0 < int(solved.sum()) < 2000
    there = found[solved]
    torch.testing.assert_close(there + displacement_at(drawn, (18, 18), there)[0], points[solved], rtol=0, atol=1e-5)
    assert found[~solved].isnan().all()


@pytest.mark.parametrize("elastic", [False, True])
def test_unwarped_points_are_read_where_they_came_from(elastic):
    linear = turn_and_scale((25.0, -18.0, 12.0), (1.2, 1.2, 1.2), (3.0, 1.0, 1.5))
    offset = torch.tensor([2.0, -3.5, 0.25], dtype=torch.float64)
    drawn = coefficients(0.6) if elastic else None
    points = inside(SIZE)
    deformed = points if drawn is None else points + displacement_at(drawn, SIZE, points)[0]
    old = (linear @ deformed.T).T + offset
    torch.testing.assert_close(unwarp_points(old, linear, offset, drawn, SIZE), points, rtol=0, atol=1e-3)


def test_stock_transforms_carry_points_by_their_affines():
    """An image whose channels are the voxel's own index: at the new index stands the old one."""
    affine = torch.diag(torch.tensor([3.0, 1.0, 1.5, 1.0], dtype=torch.float64))
    affine[:3, 3] = torch.tensor([40.0, -3.0, 11.0])
    index = torch.stack(torch.meshgrid(*(torch.arange(n) for n in SIZE), indexing="ij")).float()
    image = MetaTensor(index, affine=affine)
    chain = Compose(
        [
            Flip((0, 2)),
            Rotate90(1, (1, 2)),
            SpatialPad((14, 14, 21)),
            SpatialCrop(roi_start=(1, 2, 0), roi_end=(13, 12, 19)),
        ]
    )
    out = chain(image)
    new = torch.stack(torch.meshgrid(*(torch.arange(n) for n in out.shape[1:]), indexing="ij")).reshape(3, -1).T
    old = out.as_tensor().reshape(3, -1).T.double()
    held = (old != 0).any(dim=1)  # padding is 0
    assert int(held.sum()) > 1000
    torch.testing.assert_close(move_points(old[held], affine, out.affine), new[held].double())


def test_a_zoom_carries_points_between_voxels():
    rows, columns = np.meshgrid(np.arange(40), np.arange(50), indexing="ij")
    at = np.array([17.3, 30.6])
    blob = np.exp(-((rows - at[0]) ** 2 + (columns - at[1]) ** 2) / 18)
    image = MetaTensor(torch.from_numpy(blob[None]).float(), affine=torch.eye(4).double())
    zoomed, _ = Affine(rotate_params=0.3, scale_params=(0.8, 0.8), padding_mode="zeros", image_only=False)(image)
    weights = zoomed[0].numpy()
    centroid = (np.indices(weights.shape) * weights).sum(axis=(1, 2)) / weights.sum()
    found = move_points(torch.from_numpy(at[None]), image.affine, zoomed.affine)[0]
    np.testing.assert_allclose(found, centroid, atol=0.05)


def test_an_affine_without_inverse_is_refused():
    with pytest.raises(ValueError, match=r"old_affine is singular or not finite: \[\[0\.0"):
        move_points(torch.zeros(1, 3), torch.zeros(4, 4), torch.eye(4))
