"""Radial errors by hand, and against NumPy over all batches at once."""

import math

import numpy as np
import pytest
import torch

from scripts.landmarks import gaussian_heatmaps
from scripts.metrics import MeanRadialError, radial_errors

NAN = float("nan")
TRUTH = torch.tensor([[[10.0, 12.0], [8.0, 15.0], [5.0, 5.0]], [[11.0, 9.0], [14.0, NAN], [6.0, 6.0]]])
AWAY = torch.tensor([[[3.0, 4.0], [0.0, -2.0], [NAN, 0.0]], [[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]]])


def test_errors_by_hand():
    errors = radial_errors(TRUTH + AWAY, TRUTH)
    expected = torch.tensor([[5.0, 2.0, math.inf], [0.0, NAN, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(errors, expected, equal_nan=True)
    in_mm = radial_errors(TRUTH + AWAY, TRUTH, (4.0, 0.5))
    expected = torch.tensor([[math.hypot(12, 2), 1.0, math.inf], [0.0, NAN, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(in_mm, expected, equal_nan=True)


def test_scores_by_hand():
    metric = MeanRadialError([1.0, 2, 2.5])
    metric.update(TRUTH + AWAY, TRUTH)
    assert metric.compute() == pytest.approx(
        {
            "mre": (5 + 2 + 0 + 1) / 4,
            "mre_std": math.sqrt((9 + 0 + 4 + 1) / 4),
            "mre_not_found": 1,
            "sdr@1": 2 / 5,
            "sdr@2": 3 / 5,
            "sdr@2.5": 3 / 5,
        }
    )
    first, second, third = metric.per_landmark()
    assert first == pytest.approx(
        {"mre": 2.5, "mre_std": 2.5, "mre_not_found": 0, "sdr@1": 0.5, "sdr@2": 0.5, "sdr@2.5": 0.5}
    )
    assert second == pytest.approx({"mre": 2, "mre_std": 0, "mre_not_found": 0, "sdr@1": 0, "sdr@2": 1, "sdr@2.5": 1})
    assert third["mre_not_found"] == 1


@pytest.mark.parametrize("offset", [0.0, 1e6], ids=["near 0", "far from 0"])
def test_batches_and_processes_add_up(offset):
    rng = np.random.default_rng(0)
    batches = [(rng.normal(size=(b, 4, 3)), rng.normal((offset, 0, 0), 1, (b, 4, 3))) for b in (3, 1, 5)]
    for _, truth in batches:
        truth[rng.random(truth.shape[:2]) < 0.2] = NAN
    spacing = np.array([2.0, 1.0, 0.5])
    errors = np.concatenate([np.linalg.norm((p - t) * spacing, axis=2) for p, t in batches])
    metric, other = MeanRadialError([2.0], spacing), MeanRadialError([2.0], spacing)
    for index, (prediction, truth) in enumerate(batches):
        (other if index == 1 else metric).update(torch.from_numpy(prediction), torch.from_numpy(truth))
    metric.merge(other)
    metric.merge(MeanRadialError([2.0]))  # has seen nothing
    found = metric.compute()
    assert found["mre"] == pytest.approx(np.nanmean(errors))
    assert found["mre_std"] == pytest.approx(np.nanstd(errors), rel=1e-6)
    assert found["sdr@2"] == pytest.approx((errors <= 2).sum() / np.isfinite(errors).sum())
    of_each = metric.per_landmark()
    assert [row["mre"] for row in of_each] == pytest.approx(np.nanmean(errors, axis=0))
    assert [row["mre_std"] for row in of_each] == pytest.approx(np.nanstd(errors, axis=0), rel=1e-6)


def test_heatmaps_stand_for_their_maxima():
    points = torch.tensor([[[10.0, 12.0], [8.3, 15.4], [9.0, 9.0]]])
    moved = points + torch.tensor([[[0.5, 0.0], [0.0, 0.25], [0.0, 0.0]]])
    truth = gaussian_heatmaps(points, (20, 24), 2.0)
    truth[0, 2] = NAN
    metric = MeanRadialError()
    metric.update(gaussian_heatmaps(moved, (20, 24), 2.0), truth)
    assert metric.compute()["mre"] == pytest.approx(0.375, abs=1e-3)
    metric.update(torch.zeros(1, 3, 20, 24), truth)
    assert metric.compute()["mre_not_found"] == 2


def test_in_2d_the_last_two_lengths_count():
    metric = MeanRadialError(spacing=(9.0, 2.0, 3.0))
    metric.update(torch.tensor([[[1.0, 1.0]]]), torch.tensor([[[0.0, 1.0]]]))
    assert metric.compute()["mre"] == 2


def test_without_landmarks_there_are_no_numbers():
    metric = MeanRadialError([1.0])
    assert metric.per_landmark() == []
    assert math.isnan(metric.compute()["mre"])
    metric.update(torch.zeros(1, 2, 2), torch.full((1, 2, 2), NAN))
    found = metric.compute()
    assert all(math.isnan(found[name]) for name in ("mre", "mre_std", "sdr@1"))
    metric.update(torch.ones(1, 2, 2), torch.zeros(1, 2, 2))
    assert metric.compute()["mre"] == pytest.approx(math.sqrt(2))
    metric.reset()
    assert math.isnan(metric.compute()["mre"])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"radii must be numbers of at least 0; got \[2, -1\]"):
        MeanRadialError([2, -1])
    with pytest.raises(ValueError, match=r"prediction has shape \[1, 2, 2\], but its label has \[1, 3, 2\]"):
        MeanRadialError().update(torch.zeros(1, 2, 2), torch.zeros(1, 3, 2))
    with pytest.raises(ValueError, match=r"expected landmarks of shape B N D; got \[2, 2\]"):
        radial_errors(torch.zeros(2, 2), torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"spacing must be 2 numbers above 0, one per axis, got \[1, 0\]"):
        radial_errors(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), [1, 0])
    metric = MeanRadialError()
    metric.update(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2))
    with pytest.raises(ValueError, match="got 3 landmarks after batches of 2; expected the same number"):
        metric.update(torch.zeros(1, 3, 2), torch.zeros(1, 3, 2))
