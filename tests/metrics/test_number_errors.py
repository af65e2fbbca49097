"""Regression metrics against NumPy on all voxels at once."""

import math

import numpy as np
import pytest
import torch

from scripts.metrics import R2, MeanAbsoluteError


def _batches(offset=0.0):
    rng = np.random.default_rng(0)
    for size in (3, 5, 2):
        label = rng.normal(size=(2, 2, 4, 4, size)) * np.array([1.0, 5.0]).reshape(1, 2, 1, 1, 1) + offset
        prediction = label + rng.normal(size=label.shape) * 0.5
        label[rng.random(label.shape) < 0.1] = np.nan
        yield prediction, label


def _run(metric, batches):
    for prediction, label in batches:
        metric.update(torch.from_numpy(prediction), torch.from_numpy(label))
    return metric.compute()


def test_mean_absolute_error():
    pairs = [(p[np.isfinite(y)], y[np.isfinite(y)]) for p, y in _batches()]
    expected = np.abs(np.concatenate([p - y for p, y in pairs])).mean()
    metric = MeanAbsoluteError()
    assert _run(metric, _batches()) == pytest.approx({"mae": expected})
    metric.reset()
    assert math.isnan(metric.compute()["mae"])


@pytest.mark.parametrize("offset", [0.0, 1e6], ids=["near 0", "far from 0"])
def test_r2_is_the_mean_over_channels_of_all_voxels(offset):
    known = [np.isfinite(y).all(1) for _, y in _batches(offset)]
    p = np.concatenate([np.moveaxis(p, 1, -1)[k] for (p, _), k in zip(_batches(offset), known, strict=True)])
    y = np.concatenate([np.moveaxis(y, 1, -1)[k] for (_, y), k in zip(_batches(offset), known, strict=True)])
    expected = (1 - ((p - y) ** 2).sum(0) / ((y - y.mean(0)) ** 2).sum(0)).mean()
    metric = R2()
    assert _run(metric, _batches(offset))["r2"] == pytest.approx(expected, rel=1e-6)
    metric.reset()
    assert math.isnan(metric.compute()["r2"])


def test_r2_of_the_mean_is_0_and_of_constant_labels_nan():
    metric = R2()
    label = torch.tensor([1.0, 2, 3, 6]).reshape(1, 1, 2, 2)
    metric.update(torch.full((1, 1, 2, 2), 3.0), label)
    assert metric.compute()["r2"] == pytest.approx(0)
    metric.reset()
    metric.update(label, torch.ones(1, 1, 2, 2))
    assert math.isnan(metric.compute()["r2"])


def test_batch_without_known_voxels_changes_nothing():
    metrics = [MeanAbsoluteError(), R2()]
    before = [_run(metric, _batches()) for metric in metrics]
    unknown = [(np.zeros((1, 2, 2, 2)), np.full((1, 2, 2, 2), np.nan))]
    assert [_run(metric, unknown) for metric in metrics] == before


@pytest.mark.parametrize("metric", [MeanAbsoluteError(), R2()])
def test_shapes_must_agree(metric):
    with pytest.raises(ValueError, match=r"shape \[1, 1, 2\], but its label has \[1, 2, 2\]"):
        metric.update(torch.zeros(1, 1, 2), torch.zeros(1, 2, 2))
