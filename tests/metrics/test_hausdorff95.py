"""The 95th percentile of distances between planes."""

import math

import pytest
import torch

from scripts.metrics import HausdorffDistance95, SurfaceDistance


def _plane(z):
    mask = torch.zeros(1, 1, 12, 6, 6)
    mask[:, :, z] = 1
    return mask


def test_mean_over_patches_in_physical_units():
    metric = HausdorffDistance95((2.5, 1, 1))
    empty = torch.zeros(1, 1, 12, 6, 6)
    metric.update(torch.cat([_plane(4), _plane(4), empty]), torch.cat([_plane(7), empty, empty]))
    metric.update(_plane(2), _plane(3))
    assert metric.compute() == {"hausdorff95": pytest.approx((7.5 + 2.5) / 2), "hausdorff95_skipped": 1}
    metric.reset()
    assert math.isnan(metric.compute()["hausdorff95"])


def test_the_farthest_voxels_are_left_out_in_each_direction():
    # 100 voxels of a plane have their counterpart, 4 (an object of its own, two slices away) do not
    prediction, label = torch.zeros(1, 1, 12, 12, 12), torch.zeros(1, 1, 12, 12, 12)
    prediction[:, :, 4, 1:11, 1:11] = label[:, :, 4, 1:11, 1:11] = 1
    prediction[:, :, 6, 5:7, 5:7] = 1
    average, hausdorff = SurfaceDistance(), HausdorffDistance95()
    for metric in (average, hausdorff):
        metric.update(prediction, label)
    assert average.compute()["surface_distance"] == pytest.approx(4 * 2 / 204)
    assert hausdorff.compute()["hausdorff95"] == 0
    prediction[:, :, 6, 4:8, 4:8] = 1  # 16 of 116
    hausdorff.reset()
    hausdorff.update(prediction, label)
    assert hausdorff.compute()["hausdorff95"] == 2


def test_what_two_processes_saw_adds_up():
    whole, first, second = HausdorffDistance95(), HausdorffDistance95(), HausdorffDistance95()
    pairs = [(_plane(1), _plane(5)), (_plane(3), _plane(4)), (_plane(3), torch.zeros_like(_plane(3)))]
    for pair, part in zip(pairs, (first, second, second), strict=True):
        whole.update(*pair)
        part.update(*pair)
    first.merge(second)
    assert first.compute() == whole.compute()
