"""Regularisers against fields whose smoothness and slope are known."""

import math

import pytest
import torch

from scripts.losses import EikonalLoss, NormalConsistencyLoss

NAN = float("nan")


def turning(degrees, size=5):
    """Directions in the plane of y and x that turn by so many degrees with each voxel along x, 1 3 D H W."""
    angle = torch.arange(size) * math.radians(degrees)
    field = torch.stack([torch.zeros(size), angle.sin(), angle.cos()])  # C W
    return field.view(1, 3, 1, 1, size).expand(1, 3, size, size, size).clone()


@pytest.mark.parametrize("degrees", [0.0, 10.0, 90.0])
def test_neighbours_along_one_axis_of_three_turn(degrees):
    """A third of the pairs differs by the angle, the others not at all."""
    field = turning(degrees)
    expected = (1 - math.cos(math.radians(degrees))) / 3
    assert NormalConsistencyLoss()(5 * field, field).item() == pytest.approx(expected, abs=1e-6)


def test_opposite_neighbours_agree_where_signs_do_not_matter():
    field = turning(180.0)
    assert NormalConsistencyLoss()(field, field).item() == pytest.approx(2 / 3, abs=1e-5)
    assert NormalConsistencyLoss(sign_invariant=True)(field, field).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_all_pairs_count_up_to_the_last(axis):
    """Only the last of 5 planes across an axis is turned, by 90 degrees: one pair of 4 along it, which differs by 1."""
    field = torch.zeros(1, 3, 5, 5, 5)
    field[:, 0] = 1.0
    field.narrow(axis, 4, 1)[:, :2] = torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1, 1)
    assert NormalConsistencyLoss()(field, field).item() == pytest.approx(1 / 12, abs=1e-6)


def test_pairs_without_two_true_directions_do_not_count():
    """Only voxels 0 and 1 along x have a direction, in one row: one pair, 30 degrees apart."""
    truth = torch.full((1, 3, 3, 3, 3), NAN)
    truth[:, :, 1, 1, :2] = turning(30.0, 3)[:, :, 1, 1, :2]
    truth[:, :, 1, 2, :2] = 0.0
    loss = NormalConsistencyLoss()(turning(30.0, 3), truth)
    assert loss.item() == pytest.approx(1 - math.cos(math.radians(30.0)), abs=1e-6)


def distances(spacing, size=9, plane=4.0):
    """Signed distance to a tilted plane through the middle, in physical units, 1 1 D H W."""
    normal = torch.tensor([1.0, 2.0, 2.0]) / 3
    axes = [(torch.arange(size) - plane) * s for s in spacing]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return (normal[0] * z + normal[1] * y + normal[2] * x)[None, None]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (4.0, 0.5, 2.0)])
def test_a_distance_has_slope_1_in_physical_units(spacing):
    field = distances(spacing)
    assert EikonalLoss(spacing)(field, field).item() == pytest.approx(0, abs=1e-8)
    assert EikonalLoss(spacing)(3 * field, field).item() == pytest.approx(4.0, rel=1e-4)
    assert EikonalLoss(spacing)(torch.zeros_like(field), field).item() == pytest.approx(1.0, abs=1e-3)


def test_beyond_the_limit_and_beside_the_unknown_nothing_counts():
    field = distances((1.0, 1.0, 1.0))
    clipped = field.clamp(-2, 2)
    assert EikonalLoss()(clipped, clipped).item() > 0.05
    assert EikonalLoss(max_distance=1.0)(clipped, clipped).item() == pytest.approx(0, abs=1e-8)
    wrong, truth = field.clone(), field.clone()
    wrong[..., 4] += 5.0
    truth[..., 4] = NAN  # a voxel counts only where its neighbours are known: 3 and 5 do not
    assert EikonalLoss()(wrong, truth).item() == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("loss", [NormalConsistencyLoss(), EikonalLoss((1.0, 2.0, 0.5))])
def test_gradients_by_finite_differences(loss):
    torch.manual_seed(0)
    prediction = torch.randn(1, 3, 3, 4, 3, dtype=torch.float64, requires_grad=True)
    truth = torch.randn(1, 3, 3, 4, 3, dtype=torch.float64)
    truth[0, :, 1, 1, 1] = NAN
    assert torch.autograd.gradcheck(lambda x: loss(x, truth), prediction, atol=1e-6)


@pytest.mark.parametrize("loss", [NormalConsistencyLoss(), EikonalLoss()])
def test_where_nothing_is_known_loss_and_gradient_are_0(loss):
    prediction = torch.zeros(1, 3, 3, 3, 3, requires_grad=True)
    value = loss(prediction, torch.full((1, 3, 3, 3, 3), NAN))
    value.backward()
    assert value.item() == 0
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


def test_two_dimensions():
    field = distances((1.0, 1.0, 1.0))[:, :, 4] * 3 / 8**0.5  # 1 1 H W, slope 1 within the plane
    assert EikonalLoss((9.0, 1.0, 1.0))(field, field).item() == pytest.approx(0, abs=1e-8)


def test_too_few_voxels_for_a_slope_is_an_error():
    with pytest.raises(ValueError, match=r"at least 3 voxels along each axis, got \[2, 4, 4\]"):
        EikonalLoss()(torch.zeros(1, 1, 2, 4, 4), torch.zeros(1, 1, 2, 4, 4))
