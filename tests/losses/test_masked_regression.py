"""Regression losses against sums by hand."""

import pytest
import torch
from torch.autograd import gradcheck

from scripts.losses import MaskedRegressionLoss

NAN = float("nan")
PREDICTION = torch.tensor([[1.0, 2.0, 3.0, -1.0], [0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)[None, :, None, None]
TARGET = torch.tensor([[1.5, 5.0, NAN, 1.0], [NAN, NAN, NAN, 0.25]], dtype=torch.float64)[None, :, None, None]
# distances of the known numbers: 0.5, 3, 2, 0.25
EXPECTED = {
    "l1": (0.5 + 3 + 2 + 0.25) / 4,
    "mse": (0.25 + 9 + 4 + 0.0625) / 4,
    "smooth_l1": (0.125 + 2.5 + 1.5 + 0.03125) / 4,
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_mean_over_the_known_numbers(kind):
    assert MaskedRegressionLoss(kind)(PREDICTION, TARGET).item() == pytest.approx(EXPECTED[kind])


def test_default_is_smooth_l1():
    assert MaskedRegressionLoss()(PREDICTION, TARGET).item() == pytest.approx(EXPECTED["smooth_l1"])


def test_mask_covers_all_channels():
    mask = torch.tensor([1, 0, 1, 1]).reshape(1, 1, 1, 1, 4)
    assert MaskedRegressionLoss("l1")(PREDICTION, TARGET, mask).item() == pytest.approx((0.5 + 2 + 0.25) / 3)


@pytest.mark.parametrize("kind", EXPECTED)
def test_gradient_by_finite_differences(kind):
    prediction = PREDICTION.clone().requires_grad_()
    assert gradcheck(lambda p: MaskedRegressionLoss(kind)(p, TARGET), prediction)
    MaskedRegressionLoss(kind)(prediction, TARGET).backward()
    assert torch.equal(prediction.grad != 0, torch.isfinite(TARGET))


def test_nothing_known_is_zero_with_zero_gradient():
    prediction = torch.randn(2, 1, 3, 3, requires_grad=True)
    loss = MaskedRegressionLoss()(prediction, torch.full((2, 1, 3, 3), NAN))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


def test_unknown_kind():
    with pytest.raises(ValueError, match=r"one of smooth_l1, l1, mse; got 'smoothl1' \(did you mean 'smooth_l1'\?\)"):
        MaskedRegressionLoss("smoothl1")
