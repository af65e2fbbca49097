"""Adaptive wing loss against values by hand."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from scripts.losses import AdaptiveWingLoss

NAN = float("nan")


def constants(y, omega=14.0, theta=0.5, epsilon=1.0, alpha=2.1):
    """A and C as the paper writes them."""
    p = alpha - y
    a = omega * (1 / (1 + (theta / epsilon) ** p)) * p * (theta / epsilon) ** (p - 1) / epsilon
    c = theta * a - omega * math.log(1 + (theta / epsilon) ** p)
    return a, c


def of_one(prediction, target, **options):
    """Loss of a single voxel in a map of one voxel."""
    loss = AdaptiveWingLoss(**options)
    voxels = [torch.tensor([[[[value]]]], dtype=torch.float64) for value in (prediction, target)]
    return loss(*voxels).item()


def test_values_by_hand_where_the_loss_is_curved():
    # 14 ln(1 + 0.3^2.1), 14 ln(1 + 0.25^1.1) and 14 ln(1 + 0.4^1.6)
    assert of_one(0.3, 0.0, map_weight=0) == pytest.approx(1.0747, abs=1e-4)
    assert of_one(0.75, 1.0, map_weight=0) == pytest.approx(2.7568, abs=1e-4)
    assert of_one(0.9, 0.5, map_weight=0) == pytest.approx(2.9077, abs=1e-4)


def test_values_by_hand_where_the_loss_is_linear():
    # y = 0: A = 11.1214, C = 2.6255; y = 1: A = 9.7978, C = -0.4615
    assert constants(0.0) == pytest.approx((11.1214, 2.6255), abs=1e-4)
    assert constants(1.0) == pytest.approx((9.7978, -0.4615), abs=1e-4)
    assert of_one(2.0, 0.0, map_weight=0) == pytest.approx(2 * 11.1214 - 2.6255, abs=2e-4)
    assert of_one(0.2, 1.0, map_weight=0) == pytest.approx(0.8 * 9.7978 + 0.4615, abs=2e-4)


@pytest.mark.parametrize("y", [0.0, 0.3, 1.0])
def test_value_and_slope_are_continuous_at_theta(y):
    below, above = (of_one(y + 0.5 + step, y, map_weight=0) for step in (-1e-6, 1e-6))
    assert above - below == pytest.approx(2e-6 * constants(y)[0], rel=1e-3)
    steps = [of_one(y + 0.5 + step, y, map_weight=0) for step in (-2e-4, -1e-4, 1e-4, 2e-4)]
    assert steps[1] - steps[0] == pytest.approx(steps[3] - steps[2], rel=1e-3)


@pytest.mark.parametrize("options", [{"omega": 10.0}, {"theta": 0.2}, {"epsilon": 2.0}, {"alpha": 2.5}])
def test_options_change_the_formula(options):
    for d in (0.1, 0.9):
        numbers = {"omega": 14.0, "theta": 0.5, "epsilon": 1.0, "alpha": 2.1} | options
        a, c = constants(0.4, **numbers)
        curved = numbers["omega"] * math.log(1 + (d / numbers["epsilon"]) ** (numbers["alpha"] - 0.4))
        expected = curved if d < numbers["theta"] else a * d - c
        assert of_one(0.4 + d, 0.4, map_weight=0, **options) == pytest.approx(expected)


def test_maps_are_divided_by_their_amplitude_first():
    assert of_one(30.0, 0.0, amplitude=100.0) == pytest.approx(of_one(0.3, 0.0))
    assert of_one(30.0, 100.0, amplitude=100.0) == pytest.approx(of_one(0.3, 1.0))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_voxels_beside_high_truth_count_eleven_times(dims):
    target = torch.zeros(1, 1, *[7] * dims, dtype=torch.float64)
    target[(0, 0, *[3] * dims)] = 0.2
    prediction = target + 0.3
    near = (torch.nn.functional.unfold(target, 3, padding=1).amax(1) > 0).sum() if dims == 2 else 3**dims
    of_high = math.log(1 + 0.3**1.9)
    of_low = math.log(1 + 0.3**2.1)
    expected = 14 * (11 * of_high + 11 * (int(near) - 1) * of_low + (7**dims - 3**dims) * of_low) / 7**dims
    assert AdaptiveWingLoss()(prediction, target).item() == pytest.approx(expected)
    assert AdaptiveWingLoss(map_threshold=0.21)(prediction, target).item() == pytest.approx(
        14 * (of_high + (7**dims - 1) * of_low) / 7**dims
    )
    assert AdaptiveWingLoss(map_weight=3.0)(prediction, target).item() < expected


def test_missing_landmarks_and_voxels_do_not_count():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 5, 6, generator=generator)
    prediction = torch.rand(2, 3, 5, 6, generator=generator)
    missing = target.clone()
    missing[1, 1:] = NAN
    loss = AdaptiveWingLoss()
    known = [loss(prediction[:1], target[:1]) * 3, loss(prediction[1:, :1], target[1:, :1])]
    predicted = prediction.clone().requires_grad_()
    found = loss(predicted, missing)
    torch.testing.assert_close(found, sum(known) / 4)
    found.backward()
    assert torch.equal(predicted.grad != 0, torch.isfinite(missing))


def test_gradient_by_finite_differences():
    generator = torch.Generator().manual_seed(1)
    target = torch.rand(1, 2, 4, 5, dtype=torch.float64, generator=generator)
    target[0, 1, 2] = NAN
    prediction = 2 * torch.randn(1, 2, 4, 5, dtype=torch.float64, generator=generator)
    assert gradcheck(lambda p: AdaptiveWingLoss()(p, target), prediction.requires_grad_())


def test_where_the_prediction_is_right_the_gradient_is_nothing():
    target = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    prediction = target.clone().requires_grad_()
    loss = AdaptiveWingLoss()(prediction, target)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(prediction.grad, torch.zeros_like(target))


def test_nothing_known_is_zero_with_zero_gradient():
    prediction = torch.randn(2, 1, 3, 3, requires_grad=True)
    loss = AdaptiveWingLoss()(prediction, torch.full((2, 1, 3, 3), NAN))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"amplitude": 0}, "got amplitude = 0, omega = 14.0, theta = 0.5, epsilon = 1.0"),
        ({"theta": -0.5}, "theta = -0.5"),
        ({"alpha": 2.0}, "alpha must be above 2 and map_weight at least 0; got alpha = 2.0, map_weight = 10.0"),
        ({"map_weight": -1}, "map_weight = -1"),
    ],
)
def test_numbers_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        AdaptiveWingLoss(**options)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"prediction has shape \[1, 1, 4, 4\], but its label has \[1, 1, 4, 5\]"):
        AdaptiveWingLoss()(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5))
