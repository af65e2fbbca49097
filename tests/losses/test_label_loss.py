"""Dice and cross-entropy against NumPy, torch's own losses, and numbers by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from scripts.losses import LabelLoss

S = 1e-5


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _row(*values):
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, 1, 1, -1)


def _example(channels, seed=0, shape=(2, 3, 4, 5)):
    """Logits B C D H W, labels B 1 D H W with a fifth unknown."""
    rng = np.random.default_rng(seed)
    batch, *space = shape
    logits = rng.normal(size=(batch, channels, *space))
    label = rng.integers(0, max(2, channels), size=(batch, 1, *space)).astype(float)
    label[rng.random(label.shape) < 0.2] = -1
    return torch.from_numpy(logits), torch.from_numpy(label)


def _dice_loss(probability, truth):
    return 1 - (2 * (probability * truth).sum() + S) / (probability.sum() + truth.sum() + S)


def test_one_channel_by_hand():
    # probabilities 0.75, 0.25, 0.5; the last voxel is unknown
    logits, label = _row(math.log(3), -math.log(3), 0, 50), _row(1, 0, 7, -1)
    dice = 1 - (2 * (0.75 + 0.5) + S) / (1.5 + 2 + S)
    entropy = -(math.log(0.75) + math.log(0.75) + math.log(0.5)) / 3
    assert LabelLoss(1, cross_entropy=0)(logits, label).item() == pytest.approx(dice)
    assert LabelLoss(1, dice=0)(logits, label).item() == pytest.approx(entropy)
    assert LabelLoss(1, dice=0.5, cross_entropy=2)(logits, label).item() == pytest.approx(0.5 * dice + 2 * entropy)


def test_one_channel_smoothing_and_weight_by_hand():
    logits, label = _row(math.log(3), -math.log(3)), _row(1, 0)
    # smoothing 0.2: truths 0.9 and 0.1
    entropy = -(0.9 * math.log(0.75) + 0.1 * math.log(0.25))
    assert LabelLoss(1, dice=0, label_smoothing=0.2)(logits, label).item() == pytest.approx(entropy)
    weighted = -(3 * math.log(0.75) + math.log(0.75)) / 2
    assert LabelLoss(1, dice=0, class_weights=[3])(logits, label).item() == pytest.approx(weighted)


def test_dice_is_the_mean_over_patches_and_classes_without_background():
    logits, label = _example(3)
    p = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True)
    losses = []
    for b in range(2):
        known = label[b, 0].numpy() >= 0
        for c in (1, 2):
            losses.append(_dice_loss(p[b, c][known], (label[b, 0].numpy() == c)[known]))
    assert LabelLoss(3, cross_entropy=0)(logits, label).item() == pytest.approx(np.mean(losses))


def test_batch_dice_pools_the_batch():
    logits, label = _example(1)
    p, truth, known = _sigmoid(logits.numpy()), label.numpy() > 0, label.numpy() >= 0
    pooled = LabelLoss(1, cross_entropy=0, batch_dice=True)(logits, label).item()
    assert pooled == pytest.approx(_dice_loss(p[known], truth[known]))
    assert pooled != pytest.approx(LabelLoss(1, cross_entropy=0)(logits, label).item())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 4.0]])
def test_entropy_is_torchs_over_the_known_voxels(smoothing, weights):
    logits, label = _example(3)
    known = label[:, 0] >= 0
    expected = F.cross_entropy(
        logits.movedim(1, -1)[known],  # B C D H W -> B D H W C -> N C
        label[:, 0][known].long(),
        weight=None if weights is None else torch.tensor(weights, dtype=torch.float64),
        label_smoothing=smoothing,
    )
    loss = LabelLoss(3, dice=0, label_smoothing=smoothing, class_weights=weights)
    torch.testing.assert_close(loss(logits, label), expected)


def test_independent_classes_use_a_sigmoid_each():
    logits, label = _example(3)
    p, known = _sigmoid(logits.numpy()), label[:, 0].numpy() >= 0
    truth = np.stack([label[:, 0].numpy() == c for c in range(3)], axis=1)
    entropy = -np.where(truth, np.log(p), np.log(1 - p))
    expected = np.mean([entropy[:, c][known].mean() for c in range(3)])
    assert LabelLoss(3, dice=0, independent=True)(logits, label).item() == pytest.approx(expected)
    dice = [_dice_loss(p[b, c][known[b]], truth[b, c][known[b]]) for b in range(2) for c in (1, 2)]
    assert LabelLoss(3, cross_entropy=0, independent=True)(logits, label).item() == pytest.approx(np.mean(dice))


def test_a_label_with_a_foreground_in_each_channel_is_as_many_labels_of_one_channel():
    logits, _ = _example(3)
    labels = torch.from_numpy(np.random.default_rng(5).integers(-1, 2, logits.shape)).double()
    alone = [LabelLoss(1)(logits[:, c : c + 1], labels[:, c : c + 1]) for c in range(3)]
    known = torch.stack([(labels[:, c] >= 0).sum() for c in range(3)])
    entropy = [LabelLoss(1, dice=0)(logits[:, c : c + 1], labels[:, c : c + 1]) for c in range(3)]
    dice = sum(whole - part for whole, part in zip(alone, entropy, strict=True)) / 3
    pooled = sum(e * k for e, k in zip(entropy, known, strict=True)) / known.sum()
    torch.testing.assert_close(LabelLoss(3, independent=True)(logits, labels), dice + pooled)
    with pytest.raises(ValueError, match="a foreground in each channel needs a target with activation 'sigmoid'"):
        LabelLoss(3)(logits, labels)


def test_class_weights_of_independent_classes_weigh_each_channels_foreground():
    logits, label = _example(2)
    known = label[:, 0] >= 0
    truth = torch.stack([label[:, 0] == c for c in range(2)], dim=1).double()
    expected = F.binary_cross_entropy_with_logits(
        logits.movedim(1, -1)[known], truth.movedim(1, -1)[known], pos_weight=torch.tensor([1.0, 5.0]).double()
    )
    loss = LabelLoss(2, dice=0, independent=True, class_weights=[1, 5])
    torch.testing.assert_close(loss(logits, label), expected)


@pytest.mark.parametrize("options", [{}, {"independent": True}, {"batch_dice": True}], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_unknown_voxels_do_not_matter(channels, options):
    logits, label = _example(channels)
    loss = LabelLoss(channels, **options)
    changed = torch.where(label < 0, logits + 5, logits)
    assert not torch.equal(logits, changed)
    assert loss(changed, label).item() == loss(logits, label).item()


@pytest.mark.parametrize("channels", [1, 3])
def test_patch_without_known_voxels_leaves_the_mean(channels):
    logits, label = _example(channels)
    label[1] = -1
    loss = LabelLoss(channels)
    torch.testing.assert_close(loss(logits, label), loss(logits[:1], label[:1]))


@pytest.mark.parametrize(
    "options",
    [{}, {"independent": True, "class_weights": [1.0, 2.0, 3.0]}, {"batch_dice": True}, {"focal_gamma": 2.0}],
)
def test_nothing_known_is_zero_with_zero_gradient(options):
    logits = torch.randn(2, 3, 2, 2, requires_grad=True)
    loss = LabelLoss(3, **options)(logits, torch.full((2, 1, 2, 2), -1.0))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize(
    ("channels", "options"),
    [
        (1, {"label_smoothing": 0.1, "class_weights": [2.0]}),
        (3, {"label_smoothing": 0.1, "class_weights": [1.0, 2.0, 3.0]}),
        (3, {"independent": True, "batch_dice": True}),
    ],
)
def test_gradient_by_finite_differences(channels, options):
    logits, label = _example(channels, shape=(2, 2, 3))
    loss = LabelLoss(channels, **options).double()
    assert gradcheck(lambda x: loss(x, label), logits.requires_grad_())
    loss(logits, label).backward()
    assert torch.count_nonzero(logits.grad * (label < 0)) == 0


def test_half_precision_is_computed_in_single():
    logits, label = torch.full((1, 1, 48, 48, 48), 5.0), torch.ones(1, 1, 48, 48, 48)
    expected = LabelLoss(1)(logits, label).item()
    assert LabelLoss(1)(logits.half(), label).item() == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LabelLoss(3, class_weights=[1, 2]), r"class_weights must hold 3 numbers.*got \[1, 2\]"),
        (lambda: LabelLoss(1, dice=0, cross_entropy=0), "nor both 0; got dice = 0, cross_entropy = 0"),
        (lambda: LabelLoss(1, dice=-0.5), "not be negative nor both 0; got dice = -0.5, cross_entropy = 1.0"),
        (lambda: LabelLoss(1, cross_entropy=-0.5), "not be negative nor both 0; got dice = 1.0, cross_entropy = -0.5"),
        (lambda: LabelLoss(1, focal_gamma=-0.5), r"focal_gamma must not be negative.*got focal_gamma = -0.5"),
        (lambda: LabelLoss(2)(torch.zeros(1, 2, 3), torch.full((1, 1, 3), 2.0)), "holds class 2, but .* 2 channels"),
        (lambda: LabelLoss(2)(torch.zeros(1, 2, 3), torch.zeros(1, 1, 4)), r"shape \[1, 1, 3\].*label has \[1, 1, 4\]"),
        (lambda: LabelLoss(2)(torch.zeros(1, 3, 3), torch.zeros(1, 1, 3)), r"logits of 2 channels.*\[1, 3, 3\]"),
        (lambda: LabelLoss(2)(torch.zeros(1, 1, 3), torch.zeros(1, 1, 3)), r"logits of 2 channels.*\[1, 1, 3\]"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_by_hand_for_one_channel(gamma):
    """Mean over the known voxels of -(1 - p)^gamma log p, with p the probability of what is true."""
    logits = torch.tensor([2.0, -1.0, 0.5, 9.0]).view(1, 1, 1, 1, 4)
    label = torch.tensor([1.0, 1.0, 0.0, -1.0]).view(1, 1, 1, 1, 4)
    p = torch.sigmoid(torch.tensor([2.0, -1.0, -0.5]))
    expected = (-((1 - p) ** gamma) * p.log()).mean()
    torch.testing.assert_close(LabelLoss(1, dice=0, focal_gamma=gamma)(logits, label), expected)


def test_focal_by_hand_for_classes_with_weights():
    """Sum of w (1 - p)^2 (-log p) over the known voxels, divided by the sum of their w."""
    torch.manual_seed(0)
    logits, label = torch.randn(1, 3, 1, 1, 4), torch.tensor([0.0, 2.0, 1.0, -1.0]).view(1, 1, 1, 1, 4)
    weights = torch.tensor([1.0, 2.0, 5.0])
    probabilities = torch.softmax(logits[0, :, 0, 0], dim=0)  # C W
    p, w = probabilities[[0, 2, 1], [0, 1, 2]], weights[[0, 2, 1]]
    expected = (w * (1 - p) ** 2 * -p.log()).sum() / w.sum()
    loss = LabelLoss(3, dice=0, focal_gamma=2.0, class_weights=weights.tolist())
    torch.testing.assert_close(loss(logits, label), expected)


def test_focal_without_exponent_is_the_cross_entropy():
    torch.manual_seed(0)
    logits, label = torch.randn(2, 3, 2, 2, 2), torch.randint(-1, 3, (2, 1, 2, 2, 2)).float()
    for options in ({}, {"independent": True}, {"class_weights": [1.0, 2.0, 3.0]}):
        expected = LabelLoss(3, dice=0, **options)(logits, label)
        torch.testing.assert_close(LabelLoss(3, dice=0, focal_gamma=0.0, **options)(logits, label), expected)


def test_focal_with_smoothing_is_an_error():
    with pytest.raises(ValueError, match=r"needs label_smoothing = 0; got focal_gamma = 2.0, label_smoothing = 0.1"):
        LabelLoss(1, focal_gamma=2.0, label_smoothing=0.1)
