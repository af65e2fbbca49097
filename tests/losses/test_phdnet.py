"""Losses of patches against sums by hand."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from scripts.landmarks import patch_class_maps, patch_displacements
from scripts.losses import PatchDisplacementLoss, PHDNetLoss

NAN = float("nan")
# two landmarks in 2D over a grid of 1 x 3 patches: B (N D) 1 3
PREDICTED = torch.tensor([[3.0, 0.0, 1.0], [4.0, 0.0, 1.0], [9.0, 9.0, 9.0], [9.0, 9.0, 9.0]])[None, :, None]
TRUE = torch.tensor([[0.0, 0.0, 0.0], [0.0, 2.0, 1.0], [NAN, NAN, NAN], [NAN, NAN, NAN]])[None, :, None]
CLASSES = torch.tensor([[1.0, 0.5, 0.0], [NAN, NAN, NAN]])[None, :, None]  # B N 1 3


def test_lengths_by_hand():
    assert PatchDisplacementLoss()(PREDICTED, TRUE, CLASSES).item() == pytest.approx((1 * 5 + 0.5 * 2 + 0) / 3)
    assert PatchDisplacementLoss(False)(PREDICTED, TRUE).item() == pytest.approx((5 + 2 + 1) / 3)


def test_lengths_in_3d_are_those_of_three_components():
    predicted = torch.tensor([1.0, 2.0, 2.0, 0.0, 0.0, 4.0]).reshape(1, 6, 1, 1, 1)
    loss = PatchDisplacementLoss(False)(predicted, torch.zeros(1, 6, 1, 1, 1))
    assert loss.item() == pytest.approx((3 + 4) / 2)


def packed_zeros(scheme="multi", n=2):
    """What a network that says 0 returns for an image of 2 x 12 voxels and patches of 2 x 4: B, channels, 1 3."""
    channels = {"multi": 3 * n, "heatmap": n, "displacement": 2 * n}[scheme]
    return torch.zeros(1, channels, 1, 3)


# In the middle of the second patch, 4 voxels or one patch from the others' centres; the second landmark is missing.
MIDDLE = torch.tensor([[[0.5, 5.5], [NAN, NAN]]])
AT_ONE = math.exp(-0.5)  # the Gaussian one standard deviation away
CLASS_LOSS = (1 + 2 * AT_ONE**2) / 3
FAR = math.log2(5)  # log2(1 + 4)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, CLASS_LOSS + 2 * AT_ONE * FAR / 3),
        ({"branch_scheme": "heatmap"}, CLASS_LOSS),
        ({"branch_scheme": "displacement"}, 2 * AT_ONE * FAR / 3),
        ({"branch_scheme": "displacement", "weigh_by_class": False}, 2 * FAR / 3),
        ({"weigh_by_class": False}, CLASS_LOSS + 2 * FAR / 3),
        ({"log_transform": False}, CLASS_LOSS + 2 * AT_ONE * 4 / 3),
        ({"clamp_distance": 3.0, "log_transform": False}, CLASS_LOSS + 2 * AT_ONE * 3 / 3),
        ({"clamp_distance": 3.0}, CLASS_LOSS + 2 * AT_ONE * 2 / 3),  # log2(1 + 3)
        ({"displacement_weight": 0.1}, CLASS_LOSS + 0.1 * 2 * AT_ONE * FAR / 3),
        ({"class_scheme": "binary", "weigh_by_class": False}, 1 / 3 + 2 * FAR / 3),
        ({"class_scheme": "binary"}, 1 / 3),  # the patches that are wrong weigh nothing
        ({"class_sigma": 0.5}, (1 + 2 * math.exp(-2) ** 2) / 3 + 2 * math.exp(-2) * FAR / 3),
        ({"amplitude": 10.0}, 100 * CLASS_LOSS + 10 * 2 * AT_ONE * FAR / 3),
    ],
    ids=str,
)
def test_every_option_by_hand(options, expected):
    loss = PHDNetLoss(patch_size=(2, 4), **options)
    packed = packed_zeros(options.get("branch_scheme", "multi"))
    assert loss(packed, MIDDLE).item() == pytest.approx(expected)


def test_the_size_of_patches_counts():
    """Patches of 2 x 8: centres at x = 3.5, 11.5, 19.5, which are 2, -6 and -14 from the landmark."""
    loss = PHDNetLoss("displacement", (2, 8), weigh_by_class=False, log_transform=False)
    assert loss(packed_zeros("displacement"), MIDDLE).item() == pytest.approx((2 + 6 + 14) / 3)


def test_class_maps_come_first_then_the_components_of_one_landmark_after_another():
    points = torch.tensor([[[0.0, 5.0], [1.2, 2.0]]])
    truth = torch.cat(
        [
            patch_class_maps(points, (2, 12), patch_size=(2, 4), sigma=0.7, amplitude=3.0),
            patch_displacements(points, (2, 12), patch_size=(2, 4)),
        ],
        dim=1,
    )
    assert truth.shape == (1, 6, 1, 3)
    loss = PHDNetLoss(patch_size=(2, 4), class_sigma=0.7, amplitude=3.0)
    assert loss(truth, points).item() == 0
    for channel in range(6):
        wrong = truth.clone()
        wrong[:, channel] += 1
        assert loss(wrong, points).item() > 0.1


def test_missing_landmarks_get_no_gradient_and_none_known_is_zero():
    packed = packed_zeros().requires_grad_()
    PHDNetLoss(patch_size=(2, 4))(packed, MIDDLE).backward()
    moved = packed.grad.abs().sum(dim=(0, 2, 3)) > 0
    assert moved.tolist() == [True, False, False, True, False, False]  # the first landmark's class map and its x
    packed.grad = None
    loss = PHDNetLoss(patch_size=(2, 4))(packed, torch.full((1, 2, 2), NAN))
    loss.backward()
    assert loss.item() == 0
    assert (packed.grad == 0).all()


def test_a_landmark_outside_the_image_is_pointed_at_and_has_no_class():
    points = torch.tensor([[[0.5, 13.5]]])  # 12, 8 and 4 voxels right of the centres
    weighed, even = (
        PHDNetLoss(patch_size=(2, 4), weigh_by_class=weigh, log_transform=False) for weigh in (True, False)
    )
    packed = packed_zeros(n=1)
    assert weighed(packed, points).item() == 0
    assert even(packed, points).item() == pytest.approx((12 + 8 + 4) / 3)


def test_a_landmark_beyond_the_image_within_its_last_patch_is_outside():
    points = torch.tensor([[[0.5, 9.5]]])  # at the centre of the last patch
    loss = PHDNetLoss("heatmap", (2, 4))
    packed = packed_zeros("heatmap", n=1)
    assert loss(packed, points).item() == pytest.approx((1 + AT_ONE**2 + math.exp(-2) ** 2) / 3)
    assert loss(packed, points, (2, 12)).item() == loss(packed, points).item()
    assert loss(packed, points, (1, 3)).item() == loss(packed, points).item()  # the grid itself: whole patches
    assert loss(packed, points, (2, 9)).item() == 0


def test_a_slice_has_patches_of_one_voxel_along_z():
    points = torch.tensor([[[0.0, 0.5, 5.5], [NAN, NAN, NAN]]])
    packed = torch.zeros(1, 2 + 6, 1, 1, 3)
    loss = PHDNetLoss(patch_size=(1, 2, 4))(packed, points)
    assert loss.item() == pytest.approx(CLASS_LOSS + 2 * AT_ONE * FAR / 3)


def test_half_precision_is_compared_in_float32():
    loss = PHDNetLoss(patch_size=(2, 4), amplitude=400.0)
    half = loss(packed_zeros().half(), MIDDLE)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(loss(packed_zeros(), MIDDLE).item())


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
    loss = PHDNetLoss(patch_size=(2, 4))
    with pytest.raises(ValueError, match=r"'multi' with 2 landmarks .* shape B and \[6, 1, 3\]; got \[1, 4, 1, 3\]"):
        loss(packed_zeros("displacement"), MIDDLE)
    with pytest.raises(ValueError, match=r"image of \[2, 16\] .* shape B and \[6, 1, 4\]; got \[1, 6, 1, 3\]"):
        loss(packed_zeros(), MIDDLE, (2, 16))
    with pytest.raises(ValueError, match=r"patch_size must be .* or 3 of them; got \(2, 4\)"):
        loss(torch.zeros(1, 8, 1, 1, 3), torch.zeros(1, 2, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"branch_scheme": "mutli"}, r"branch_scheme must be one of .*; got 'mutli' \(did you mean 'multi'\?\)"),
        ({"class_scheme": "gauss"}, r"class_scheme must be one of gaussian, binary; got 'gauss'"),
        ({"class_sigma": 0}, "class_sigma must be above 0; got 0"),
        ({"amplitude": -1}, "amplitude must be above 0; got -1"),
        ({"clamp_distance": 0.0}, "clamp_distance must be above 0; got 0.0"),
        ({"displacement_weight": -1}, "displacement_weight must be at least 0; got -1"),
        ({"displacement_weight": "1"}, "displacement_weight must be at least 0; got '1'"),
        ({"class_sigma": None}, "class_sigma must be above 0; got None"),
        ({"amplitude": [1]}, r"amplitude must be above 0; got \[1\]"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        PHDNetLoss(**options)
