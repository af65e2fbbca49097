"""The cosine loss against angles known by construction."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from scripts.losses import MaskedCosineLoss

NAN = float("nan")


def _voxels(*vectors):
    """Vectors in a row: N x C -> 1 C 1 1 N."""
    return torch.tensor(vectors, dtype=torch.float64).T[None, :, None, None, :]


# angles 0, 60 and 180 degrees, then voxels that do not count; lengths differ on both sides
PREDICTION = _voxels([0, 0, 5], [0, math.sqrt(3), 1], [-1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0])
TARGET = _voxels([0, 0, 1], [0, 0, 3], [2, 0, 0], [0, 0, 0], [NAN, NAN, NAN], [-1, 0, math.inf])


def test_mean_over_the_voxels_with_a_direction():
    assert MaskedCosineLoss()(PREDICTION, TARGET).item() == pytest.approx((0 + 0.5 + 2) / 3)


def test_sign_invariant():
    assert MaskedCosineLoss(sign_invariant=True)(PREDICTION, TARGET).item() == pytest.approx((0 + 0.5 + 0) / 3)


def test_mask_leaves_voxels_out():
    mask = torch.tensor([1, 1, 0, 1, 1, 1]).reshape(1, 1, 1, 1, 6)
    assert MaskedCosineLoss()(PREDICTION, TARGET, mask).item() == pytest.approx((0 + 0.5) / 2)


@pytest.mark.parametrize("sign_invariant", [False, True])
def test_gradient_by_finite_differences(sign_invariant):
    loss = MaskedCosineLoss(sign_invariant)
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randn(PREDICTION.shape, dtype=torch.float64, generator=generator, requires_grad=True)
    assert gradcheck(lambda p: loss(p, TARGET), prediction)
    prediction.grad = None
    loss(prediction, TARGET).backward()
    assert torch.count_nonzero(prediction.grad[..., 3:]) == 0
    assert torch.count_nonzero(prediction.grad[..., :3]) == 9


def test_nothing_known_is_zero_with_zero_gradient():
    prediction = torch.randn(1, 3, 2, 2, 2, requires_grad=True)
    loss = MaskedCosineLoss()(prediction, torch.full((1, 3, 2, 2, 2), NAN))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


def test_zero_prediction_has_a_finite_gradient_towards_the_target():
    prediction = torch.zeros(1, 3, 1, 1, 1, requires_grad=True)
    MaskedCosineLoss()(prediction, torch.tensor([0.0, 0, 1]).reshape(1, 3, 1, 1, 1)).backward()
    assert torch.isfinite(prediction.grad).all()
    assert prediction.grad[0, 2].item() < 0


def test_half_precision_does_not_overflow():
    prediction = torch.full((1, 3, 48, 48, 48), -300.0, dtype=torch.float16)  # 110,592 voxels, 2 each
    assert MaskedCosineLoss()(prediction, torch.ones(1, 3, 48, 48, 48)).item() == pytest.approx(2)


def test_shapes_must_agree():
    with pytest.raises(
        ValueError, match=r"prediction has shape \[1, 3, 1, 1, 6\], but its label has \[1, 2, 1, 1, 6\]"
    ):
        MaskedCosineLoss()(PREDICTION, TARGET[:, :2])
