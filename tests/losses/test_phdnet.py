"""Losses of patches against sums by hand."""

import pytest
import torch
from torch.autograd import gradcheck

from scripts.losses import PatchDisplacementLoss, PHDNetLoss

NAN = float("nan")
# two landmarks in 2D over a grid of 1 x 3 patches: B (N D) 1 3
PREDICTED = torch.tensor([[3.0, 0.0, 1.0], [4.0, 0.0, 1.0], [9.0, 9.0, 9.0], [9.0, 9.0, 9.0]])[None, :, None]
TRUE = torch.tensor([[0.0, 0.0, 0.0], [0.0, 2.0, 1.0], [NAN, NAN, NAN], [NAN, NAN, NAN]])[None, :, None]
CLASSES = torch.tensor([[1.0, 0.5, 0.0], [NAN, NAN, NAN]])[None, :, None]  # B N 1 3
CLASS_PREDICTION = torch.tensor([[0.5, 0.5, 2.0], [7.0, 7.0, 7.0]])[None, :, None]


def test_lengths_by_hand():
    assert PatchDisplacementLoss()(PREDICTED, TRUE, CLASSES).item() == pytest.approx((1 * 5 + 0.5 * 2 + 0) / 3)
    assert PatchDisplacementLoss(False)(PREDICTED, TRUE).item() == pytest.approx((5 + 2 + 1) / 3)


def test_lengths_in_3d_are_those_of_three_components():
    predicted = torch.tensor([1.0, 2.0, 2.0, 0.0, 0.0, 4.0]).reshape(1, 6, 1, 1, 1)
    loss = PatchDisplacementLoss(False)(predicted, torch.zeros(1, 6, 1, 1, 1))
    assert loss.item() == pytest.approx((3 + 4) / 2)


def test_both_branches_and_each_alone():
    of_classes = (0.25 + 0 + 4) / 3
    of_displacements = 2.0
    loss = PHDNetLoss()
    assert loss(CLASS_PREDICTION, PREDICTED, CLASSES, TRUE).item() == pytest.approx(of_classes + of_displacements)
    assert loss(CLASS_PREDICTION, None, CLASSES, TRUE).item() == pytest.approx(of_classes)
    assert loss(None, PREDICTED, CLASSES, TRUE).item() == pytest.approx(of_displacements)
    weighted = PHDNetLoss(displacement_weight=0.1)(CLASS_PREDICTION, PREDICTED, CLASSES, TRUE)
    assert weighted.item() == pytest.approx(of_classes + 0.1 * of_displacements)
    plain = PHDNetLoss(weigh_by_class=False)(CLASS_PREDICTION, PREDICTED, CLASSES, TRUE)
    assert plain.item() == pytest.approx(of_classes + 8 / 3)


def test_gradient_by_finite_differences_and_none_of_the_missing():
    predicted = PREDICTED.double().clone().requires_grad_()
    with torch.no_grad():
        predicted += 0.1  # no length of 0
    loss = PatchDisplacementLoss()
    assert gradcheck(lambda p: loss(p, TRUE.double(), CLASSES.double()), predicted)
    predicted.grad = None
    loss(predicted, TRUE.double(), CLASSES.double()).backward()
    assert (predicted.grad[0, 2:] == 0).all()
    assert torch.count_nonzero(predicted.grad[0, :2]) == 4  # not where the class map is 0


def test_a_perfect_displacement_has_a_finite_gradient():
    predicted = torch.zeros(1, 2, 2, 2, requires_grad=True)
    PatchDisplacementLoss(False)(predicted, torch.zeros(1, 2, 2, 2)).backward()
    assert torch.isfinite(predicted.grad).all()


def test_nothing_known_is_zero_with_zero_gradient():
    predicted = torch.randn(1, 2, 2, 2, requires_grad=True)
    loss = PatchDisplacementLoss()(predicted, torch.full((1, 2, 2, 2), NAN), torch.full((1, 1, 2, 2), NAN))
    loss.backward()
    assert loss.item() == 0
    assert (predicted.grad == 0).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="in 2D must have a multiple of 2 channels; got 3"):
        PatchDisplacementLoss(False)(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2))
    with pytest.raises(ValueError, match="class_maps is missing"):
        PatchDisplacementLoss()(PREDICTED, TRUE)
    with pytest.raises(ValueError, match=r"prediction has shape \[1, 2, 1, 3\], but its label has \[1, 1, 1, 3\]"):
        PatchDisplacementLoss()(PREDICTED, TRUE, CLASSES[:, :1])
    with pytest.raises(ValueError, match="class_maps and displacements are both None"):
        PHDNetLoss()(None, None, CLASSES, TRUE)
    with pytest.raises(ValueError, match="displacement_weight must be at least 0; got -1"):
        PHDNetLoss(displacement_weight=-1)
