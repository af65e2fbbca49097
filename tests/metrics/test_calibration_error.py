"""Calibration by hand, against NumPy, and for a perfectly calibrated forecast."""

import math

import numpy as np
import pytest
import torch
from monai.metrics import CalibrationErrorMetric

from scripts.metrics import CalibrationError


def _row(*values):
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, 1, 1, -1)


def test_one_channel_by_hand():
    metric = CalibrationError(bins=5)
    # confidences 0.9 0.85 (bin 4, right and wrong), 0.7 (bin 3, right), 0.5 0.55 (bin 2, predicted 0 and 1), unknown
    metric.update(_row(0.9, 0.15, 0.3, 0.5, 0.55, 0.9), _row(1, 255, 0, 0, 1, -1))
    expected = (abs(0.9 + 0.85 - 1) + abs(0.7 - 1) + abs(0.5 + 0.55 - 2)) / 5
    assert metric.compute() == {"ece": pytest.approx(expected)}
    metric.update(_row(0.8), _row(0))  # wrong, in the bin of 0.9 and 0.85
    assert metric.compute() == {"ece": pytest.approx((abs(0.9 + 0.85 + 0.8 - 1) + 0.3 + 0.95) / 6)}
    metric.reset()
    assert math.isnan(metric.compute()["ece"])


def test_classes_by_hand():
    values = torch.tensor([[0.6, 0.2, 0.1], [0.3, 0.7, 0.1], [0.1, 0.1, 0.8]], dtype=torch.float64).T  # voxels, classes
    metric = CalibrationError(bins=10)
    metric.update(values.T[None, :, None, None], _row(0, 2, 2))  # classes 0, 1 and 2 are predicted
    assert metric.compute() == {"ece": pytest.approx((abs(0.6 - 1) + abs(0.7 - 0) + abs(0.8 - 1)) / 3)}


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_random_classes_against_numpy(bins):
    rng = np.random.default_rng(0)
    values = rng.dirichlet([1, 1, 1], (2, 4, 5, 6)).transpose(0, 4, 1, 2, 3)  # B D H W C -> B C D H W
    label = rng.integers(-1, 3, (2, 1, 4, 5, 6))
    known = label[:, 0] >= 0
    confidence, right = values.max(1)[known], (values.argmax(1) == label[:, 0])[known]
    place = np.digitize(confidence, np.linspace(0, 1, bins + 1)) - 1
    expected = sum(
        abs(confidence[place == b].mean() - right[place == b].mean()) * (place == b).mean() for b in np.unique(place)
    )
    metric = CalibrationError(bins)
    metric.update(torch.from_numpy(values), torch.from_numpy(label))
    assert metric.compute() == {"ece": pytest.approx(expected)}


def test_one_channel_and_two_channels_agree():
    rng = np.random.default_rng(1)
    foreground, label = (
        torch.from_numpy(rng.random((1, 1, 4, 5, 6))),
        torch.from_numpy(rng.integers(0, 2, (1, 1, 4, 5, 6))),
    )
    one, two = CalibrationError(), CalibrationError()
    one.update(foreground, label)
    two.update(torch.cat([1 - foreground, foreground], dim=1), label)
    assert one.compute() == pytest.approx(two.compute(), abs=1e-12)


def test_equals_monai_where_the_prediction_is_always_foreground():
    """There, confidence and foreground probability are the same."""
    rng = np.random.default_rng(2)
    foreground = torch.from_numpy(rng.uniform(0.51, 1, (1, 1, 8, 8, 8)))
    label = torch.from_numpy(rng.integers(0, 2, (1, 1, 8, 8, 8)))
    reference = CalibrationErrorMetric(num_bins=15)
    reference(y_pred=foreground, y=label)
    metric = CalibrationError()
    metric.update(foreground, label)
    assert metric.compute()["ece"] == pytest.approx(float(reference.aggregate()), abs=1e-5)


def test_a_forecast_that_is_right_as_often_as_it_says():
    confidence = torch.full((1, 1, 10, 10, 10), 0.7, dtype=torch.float64)
    label = (torch.arange(1000).reshape(1, 1, 10, 10, 10) % 10 < 7).long()
    for values, expected in ((confidence, 0), (torch.ones_like(confidence), 0.3)):
        metric = CalibrationError()
        metric.update(values, label)
        assert metric.compute()["ece"] == pytest.approx(expected, abs=1e-9)


def test_what_two_processes_saw_adds_up():
    whole, first, second = CalibrationError(), CalibrationError(), CalibrationError()
    parts = [(_row(0.9, 0.2), _row(0, 0)), (_row(0.95), _row(1))]
    for part, metric in zip(parts, (first, second), strict=True):
        whole.update(*part)
        metric.update(*part)
    first.merge(second)
    assert first.compute() == whole.compute()


def test_bad_input():
    with pytest.raises(ValueError, match="bins is 0; expected at least 1"):
        CalibrationError(0)
    with pytest.raises(ValueError, match=r"shape \[1, 1, 1, 1, 1\], but its label has \[1, 1, 1, 1, 2\]"):
        CalibrationError().update(_row(1), _row(1, 0))


def test_channels_with_a_foreground_each_count_as_one():
    rng = np.random.default_rng(2)
    values, labels = (
        torch.from_numpy(rng.random((1, 3, 4, 5, 6))),
        torch.from_numpy(rng.integers(-1, 2, (1, 3, 4, 5, 6))),
    )
    several, one = CalibrationError(), CalibrationError()
    several.update(values, labels)
    one.update(values.reshape(1, 1, 12, 5, 6), labels.reshape(1, 1, 12, 5, 6))
    assert several.compute() == pytest.approx(one.compute())
