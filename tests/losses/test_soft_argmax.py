"""The coordinate loss at known distances."""

import pytest
import torch
from torch.autograd import gradcheck

from scripts.landmarks import gaussian_heatmaps
from scripts.losses import SoftArgmaxLoss

NAN = float("nan")
FOUND = torch.tensor([[[10.0, 12.0], [8.0, 15.0]], [[11.0, 9.0], [14.0, 14.0]]])
AWAY = torch.tensor([[[3.0, 4.0], [0.0, -2.0]], [[NAN, 0.0], [0.0, 0.0]]])


def maps(points, shape=(24, 26)):
    return gaussian_heatmaps(points, shape, 2.0, 10.0)


def test_it_is_the_mean_distance_over_the_known_landmarks():
    loss = SoftArgmaxLoss(window=6)(maps(FOUND), FOUND + AWAY)
    assert loss.item() == pytest.approx((5 + 2 + 0) / 3, abs=0.02)


def test_in_3d():
    found, truth = torch.tensor([[[8.0, 9.0, 7.0]]]), torch.tensor([[[10.0, 8.0, 5.0]]])
    assert SoftArgmaxLoss(window=5)(maps(found, (16, 17, 18)), truth).item() == pytest.approx(3, abs=0.02)


def test_heatmaps_stand_for_their_maxima():
    truth = FOUND + AWAY
    loss = SoftArgmaxLoss(window=6)
    torch.testing.assert_close(loss(maps(FOUND), maps(truth)), loss(maps(FOUND), truth), rtol=1e-3, atol=1e-3)
    outside = truth.clone()
    outside[0, 0] = 99.0  # a map of 0 has no place
    fewer = truth.clone()
    fewer[0, 0] = NAN
    torch.testing.assert_close(loss(maps(FOUND), maps(outside)), loss(maps(FOUND), fewer), rtol=1e-3, atol=1e-3)


def test_temperature_and_window_reach_the_mean_place():
    plain = SoftArgmaxLoss(window=6)(maps(FOUND), FOUND + AWAY)
    assert abs(float(SoftArgmaxLoss(window=2)(maps(FOUND + 0.3), FOUND + AWAY) - plain)) > 0.01
    assert abs(float(SoftArgmaxLoss(3.0)(maps(FOUND), FOUND + AWAY) - plain)) > 0.01


def test_gradient_by_finite_differences():
    prediction = torch.randn(2, 2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    prediction.requires_grad_()
    truth = torch.tensor([[[1.0, 2.0], [NAN, 1.0]], [[3.3, 0.0], [2.0, 9.0]]], dtype=torch.float64)
    loss = SoftArgmaxLoss()
    assert gradcheck(lambda p: loss(p, truth), prediction)
    prediction.grad = None
    loss(prediction, truth).backward()
    assert (prediction.grad[0, 1] == 0).all()
    assert (prediction.grad[1, 1] != 0).any()


def test_nothing_known_is_zero_with_zero_gradient():
    prediction = torch.randn(1, 2, 5, 6, requires_grad=True)
    loss = SoftArgmaxLoss()(prediction, torch.full((1, 2, 2), NAN))
    loss.backward()
    assert loss.item() == 0
    assert (prediction.grad == 0).all()


def test_a_descent_moves_the_maximum_to_the_landmark():
    truth = torch.tensor([[[5.0, 9.0]]])
    prediction = maps(torch.tensor([[[7.0, 7.0]]]), (14, 14)).requires_grad_()
    optimiser = torch.optim.Adam([prediction], lr=0.3)
    for _ in range(60):
        optimiser.zero_grad()
        loss = SoftArgmaxLoss()(prediction, truth)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.2


def test_shapes_must_fit():
    with pytest.raises(ValueError, match=r"prediction has shape \[2, 2, 2\], but its label has \[2, 3, 2\]"):
        SoftArgmaxLoss()(maps(FOUND), torch.zeros(2, 3, 2))
