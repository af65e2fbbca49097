"""Vector errors by construction."""

import math

import numpy as np
import pytest
import torch

from scripts.metrics import AngularError, EndPointError

NAN = float("nan")


def _voxels(vectors):
    """N x C -> 1 C 1 1 N."""
    return torch.as_tensor(vectors, dtype=torch.float32).T[None, :, None, None, :]


def test_end_point_error_by_hand():
    metric = EndPointError()
    metric.update(_voxels([[0, 0, 0], [3, 4, 0]]), _voxels([[3, 4, 0], [3, 4, 12]]))
    metric.update(_voxels([[9, 9, 9], [0, 0, 1]]), _voxels([[1, NAN, 1], [0, 0, 0]]))
    assert metric.compute() == {"epe": pytest.approx((5 + 12 + 1) / 3)}
    assert metric.mean_length == pytest.approx((5 + 13 + 0) / 3)
    metric.reset()
    assert math.isnan(metric.compute()["epe"])


def _turned(degrees):
    """Unit vectors turned away from z by the given angles."""
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=1)


@pytest.mark.parametrize("median", [0.0, 0.03, 12.34, 90.0, 179.99])
def test_median_angle_within_a_bin(median):
    spread = np.linspace(-1, 1, 101) * min(median, 180 - median)
    metric = AngularError()
    for part in np.array_split(median + spread, 3):
        lengths = np.linspace(0.1, 30, len(part))[:, None]  # do not matter
        metric.update(_voxels(_turned(part) * lengths), _voxels(_turned(np.zeros_like(part))))
    assert metric.compute()["angle"] == pytest.approx(median, abs=0.05)


def test_sign_matters_and_voxels_without_direction_do_not_count():
    metric = AngularError()
    metric.update(_voxels([[1, 0, 0]] * 4), _voxels([[-2, 0, 0], [0, 0, 0], [NAN, 0, 0], [0, 0, 0]]))
    assert metric.compute()["angle"] == pytest.approx(180, abs=0.05)


@pytest.mark.parametrize(("prediction", "angle"), [([0, 0], 90), ([NAN, 0], 180), ([math.inf, 0], 180)])
def test_predictions_without_direction(prediction, angle):
    metric = AngularError()
    metric.update(_voxels([prediction]), _voxels([[0, 1]]))
    assert metric.compute()["angle"] == pytest.approx(angle, abs=0.05)


def test_nothing_known_is_nan():
    metric = AngularError()
    metric.update(_voxels([[1, 0, 0]]), _voxels([[NAN, NAN, NAN]]))
    assert math.isnan(metric.compute()["angle"])
    metric.update(_voxels([[1, 0, 0]]), _voxels([[1, 0, 0]]))
    metric.reset()
    assert math.isnan(metric.compute()["angle"])
