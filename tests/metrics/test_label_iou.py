"""Pooled intersection over union against NumPy."""

import math

import numpy as np
import pytest
import torch

from scripts.metrics import LabelIoU


def _batches(channels):
    rng = np.random.default_rng(0)
    for _ in range(3):
        yield rng.random((2, channels, 3, 4, 5), np.float32), rng.integers(-1, channels, (2, 1, 3, 4, 5))


def _run(metric, batches):
    for values, label in batches:
        metric.update(torch.from_numpy(values), torch.from_numpy(label))
    return metric.compute()


def test_one_channel():
    intersection = union = 0
    batches = [(values[:, :1], label) for values, label in _batches(2)]
    for values, label in batches:
        predicted, true = (values > 0.5) & (label >= 0), label == 1
        intersection += (predicted & true).sum()
        union += (predicted | true).sum()
    metric = LabelIoU(1)
    assert _run(metric, batches) == pytest.approx({"iou": intersection / union})
    metric.reset()
    assert math.isnan(metric.compute()["iou"])


def test_classes_and_their_mean():
    intersection, union = np.zeros(4), np.zeros(4)
    for values, label in _batches(4):
        known, classes = label[:, 0] >= 0, values.argmax(1)
        for c in range(4):
            intersection[c] += ((classes == c) & (label[:, 0] == c)).sum()
            union[c] += (((classes == c) | (label[:, 0] == c)) & known).sum()
    iou = (intersection / union)[1:]
    expected = {"iou": iou.mean(), "iou_class1": iou[0], "iou_class2": iou[1], "iou_class3": iou[2]}
    assert _run(LabelIoU(4), _batches(4)) == pytest.approx(expected)


def test_what_two_processes_saw_adds_up():
    whole, first, second = LabelIoU(4), LabelIoU(4), LabelIoU(4)
    batches = list(_batches(4))
    expected = _run(whole, batches)
    _run(first, batches[:1])
    _run(second, batches[1:])
    first.merge(second)
    assert first.compute() == expected


def test_class_that_occurs_nowhere_is_left_out_of_the_mean():
    values = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])[None]  # class 1 twice
    metric = LabelIoU(3)
    metric.update(values, torch.tensor([[[1.0, 0.0]]]))
    numbers = metric.compute()
    assert numbers["iou"] == numbers["iou_class1"] == pytest.approx(1 / 2)
    assert math.isnan(numbers["iou_class2"])
