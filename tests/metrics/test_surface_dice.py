"""Surface Dice of planes, pooled by hand."""

import math

import pytest
import torch

from scripts.metrics import SurfaceDice


def _plane(z, rows=6):
    mask = torch.zeros(1, 1, 12, 6, 6)
    mask[:, :, z, :rows] = 1
    return mask


@pytest.mark.parametrize(
    ("tolerance", "name", "expected"),
    [(None, "surface_dice", 1), (2.5, "surface_dice@2.5", 1), (2, "surface_dice@2", 0), (0, "surface_dice@0", 0)],
)
def test_planes_one_slice_apart(tolerance, name, expected):
    metric = SurfaceDice((2.5, 1, 1), tolerance)
    metric.update(_plane(4), _plane(5))
    assert metric.compute() == {name: expected}


def test_voxels_are_pooled_over_patches_and_missing_counterparts_count():
    metric = SurfaceDice()
    empty = torch.zeros(1, 1, 12, 6, 6)
    metric.update(torch.cat([_plane(4), empty, empty]), torch.cat([_plane(4, rows=3), _plane(2), empty]))
    # rows 0 to 3 of the prediction (36 voxels) lie within 1 of the label's 18; a plane of 36 is missed
    assert metric.compute() == {"surface_dice": pytest.approx((24 + 18) / (36 + 18 + 36))}
    metric.reset()
    assert math.isnan(metric.compute()["surface_dice"])


def test_mean_over_the_classes_that_have_a_surface():
    label = torch.zeros(1, 1, 12, 6, 6)
    label[:, :, 2], label[:, :, 8] = 1, 2
    values = torch.zeros(1, 4, 12, 6, 6)  # class 3 occurs nowhere
    values[:, 0] = 0.5
    values[:, 1, 3], values[:, 2, 11] = 1, 1
    metric = SurfaceDice()
    metric.update(values, label)
    assert metric.compute() == {"surface_dice": 0.5}


def test_2d_takes_the_last_two_spacings():
    metric = SurfaceDice((9, 3, 1))
    a, b = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    a[:, :, 2], b[:, :, 4] = 1, 1  # 6 apart
    metric.update(a, b)
    assert metric.compute() == {"surface_dice": 0}
    closer = SurfaceDice((9, 3, 1), tolerance=6)
    closer.update(a, b)
    assert closer.compute() == {"surface_dice@6": 1}


def test_what_two_processes_saw_adds_up():
    first, second = SurfaceDice(), SurfaceDice()
    first.update(_plane(4), _plane(4, rows=3))
    second.update(torch.zeros_like(_plane(2)), _plane(2))
    first.merge(second)
    assert first.compute() == {"surface_dice": pytest.approx(42 / 90)}


@pytest.mark.parametrize("tolerance", [-1, float("nan"), float("inf")])
def test_tolerance_must_be_a_length(tolerance):
    with pytest.raises(ValueError, match=rf"tolerance is {tolerance}; expected a length of at least 0"):
        SurfaceDice(tolerance=tolerance)
