"""Pooled Dice against counts by hand and NumPy."""

import math

import numpy as np
import pytest
import torch

from scripts.metrics import LabelDice


def _row(*values):
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, 1, -1)


def test_one_channel_pools_the_patches():
    metric = LabelDice(1)
    # predictions 1 1 0 0 (0.5 is not above 0.5), truth 1 0 1 0; the last voxel is unknown
    metric.update(_row(0.9, 0.6, 0.5, 0.1, 0.9), _row(1, 0, 1, 0, -1))
    assert metric.compute() == {"dice": pytest.approx(2 * 1 / (2 + 2))}
    # an empty patch with one false positive counts into the volume
    metric.update(_row(0.9, 0.1), _row(0, 0))
    assert metric.compute() == {"dice": pytest.approx(2 * 1 / (3 + 2))}
    # any label above 0 is foreground
    metric.update(_row(0.9), _row(255))
    assert metric.compute() == {"dice": pytest.approx(2 * 2 / (4 + 3))}
    metric.reset()
    metric.update(_row(0.9), _row(1))
    assert metric.compute() == {"dice": 1.0}


def test_classes_against_numpy():
    rng = np.random.default_rng(0)
    metric = LabelDice(4)
    intersection, volume = np.zeros(4), np.zeros(4)
    for _ in range(3):
        values = rng.random((2, 4, 3, 4, 5), dtype=np.float32)
        label = rng.integers(-1, 4, (2, 1, 3, 4, 5)).astype(np.float32)
        metric.update(torch.from_numpy(values), torch.from_numpy(label))
        known, classes = label[:, 0] >= 0, values.argmax(1)
        for c in range(4):
            intersection[c] += ((classes == c) & (label[:, 0] == c)).sum()
            volume[c] += ((classes == c) & known).sum() + (label[:, 0] == c).sum()
    dice = (2 * intersection / volume)[1:]
    expected = {"dice": dice.mean(), "dice_class1": dice[0], "dice_class2": dice[1], "dice_class3": dice[2]}
    assert metric.compute() == pytest.approx(expected)


def test_class_that_occurs_nowhere_is_left_out_of_the_mean():
    metric = LabelDice(3)
    values = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])[None]  # class 1 twice
    metric.update(values, torch.tensor([[[1.0, 0.0]]]))
    numbers = metric.compute()
    assert numbers["dice"] == numbers["dice_class1"] == pytest.approx(2 / 3)
    assert math.isnan(numbers["dice_class2"])


def test_nothing_known_is_nan():
    metric = LabelDice(1)
    metric.update(_row(0.9, 0.1), _row(-1, -1))
    assert math.isnan(metric.compute()["dice"])


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"shape \[1, 1, 1, 1, 2\], but its label has \[1, 1, 1, 1, 3\]"):
        LabelDice(1).update(_row(0, 1), _row(0, 1, 1))


def test_a_foreground_in_each_channel_is_as_many_labels_of_one_channel():
    rng = np.random.default_rng(1)
    values, labels = (
        torch.from_numpy(rng.random((2, 3, 2, 4, 5))),
        torch.from_numpy(rng.integers(-1, 2, (2, 3, 2, 4, 5))),
    )
    alone = [LabelDice(1) for _ in range(3)]
    for channel, metric in enumerate(alone):
        metric.update(values[:, channel : channel + 1], labels[:, channel : channel + 1])
    scores = [metric.compute()["dice"] for metric in alone]
    together = LabelDice(3)
    together.update(values, labels)
    other = LabelDice(3)
    other.merge(together)  # one that has seen nothing itself
    for metric in (together, other):
        expected = {"dice": np.mean(scores)} | {f"dice_channel{c}": score for c, score in enumerate(scores)}
        assert metric.compute() == pytest.approx(expected)
