"""Surface distance against planes at known distances and a distance transform."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from scripts.metrics import SurfaceDistance


def _plane(z, shape=(12, 6, 6)):
    mask = torch.zeros(1, 1, *shape)
    mask[:, :, z] = 1
    return mask


def test_planes_three_slices_apart_in_physical_units():
    for spacing, expected in (((1, 1, 1), 3.0), ((2.5, 1, 1), 7.5)):
        metric = SurfaceDistance(spacing)
        metric.update(_plane(4), _plane(7))
        assert metric.compute() == {"surface_distance": pytest.approx(expected), "surface_distance_skipped": 0}


def test_mean_over_patches_and_count_of_the_skipped():
    metric = SurfaceDistance()
    metric.update(_plane(4), _plane(5))
    empty = torch.zeros(1, 1, 12, 6, 6)
    metric.update(torch.cat([_plane(2), _plane(4), empty, empty]), torch.cat([_plane(5), empty, _plane(4), empty]))
    assert metric.compute() == {"surface_distance": pytest.approx((1 + 3) / 2), "surface_distance_skipped": 2}
    metric.reset()
    assert math.isnan(metric.compute()["surface_distance"])


def test_boxes_against_a_distance_transform():
    spacing = (2.0, 0.5, 1.0)
    a, b = np.zeros((14, 16, 18), bool), np.zeros((14, 16, 18), bool)
    a[3:9, 4:10, 5:12] = True
    b[4:11, 3:12, 5:10] = True
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (a, b)]
    distances = [ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in edges]
    expected = np.concatenate([distances[1][edges[0]], distances[0][edges[1]]]).mean()
    metric = SurfaceDistance(spacing)
    metric.update(torch.from_numpy(a)[None, None].float(), torch.from_numpy(b)[None, None].float())
    assert metric.compute()["surface_distance"] == pytest.approx(expected)


def test_classes_are_compared_each_with_its_own():
    label = torch.zeros(1, 1, 12, 6, 6)
    label[:, :, 2], label[:, :, 8] = 1, 2
    values = torch.zeros(1, 3, 12, 6, 6)
    values[:, 0] = 0.5
    values[:, 1, 3], values[:, 2, 11] = 1, 1
    metric = SurfaceDistance()
    metric.update(values, label)
    assert metric.compute()["surface_distance"] == pytest.approx((1 + 3) / 2)


def test_cuts_by_unknown_voxels_and_border_are_no_surface():
    # Prediction fills z < 4, label z < 6; from z = 8 on nothing is known, where the prediction continues.
    prediction, label = torch.zeros(1, 1, 12, 6, 6), torch.zeros(1, 1, 12, 6, 6)
    prediction[:, :, :4], prediction[:, :, 9:], label[:, :, :6], label[:, :, 8:] = 1, 1, 1, -1
    metric = SurfaceDistance()
    metric.update(prediction, label)
    assert metric.compute()["surface_distance"] == pytest.approx(2)  # planes z = 3 and z = 5, and nothing else

    metric.reset()
    label[:, :, :8] = 1  # foreground wherever it is known: no surface
    metric.update(prediction, label)
    assert metric.compute()["surface_distance_skipped"] == 1


def test_2d_takes_the_last_two_spacings():
    metric = SurfaceDistance((9, 3, 1))
    a, b = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    a[:, :, 2], b[:, :, 4] = 1, 1
    metric.update(a, b)
    assert metric.compute()["surface_distance"] == pytest.approx(6)


def test_too_few_spacings():
    with pytest.raises(ValueError, match=r"spacing must be 3 numbers for 3 spatial axes, got \[1.0, 1.0\]"):
        SurfaceDistance((1, 1)).update(_plane(1), _plane(1))


@pytest.mark.parametrize("spacing", [(1,), (1, 1, 1, 1), (1, 0, 1), (1, -1), (1, float("inf"))])
def test_spacings_that_no_voxel_has(spacing):
    with pytest.raises(ValueError, match="spacing must be the size of a voxel along each axis, all above 0; got"):
        SurfaceDistance(spacing)


def test_what_two_processes_saw_adds_up():
    whole, first, second = SurfaceDistance(), SurfaceDistance(), SurfaceDistance()
    pairs = [(_plane(1), _plane(5)), (_plane(3), _plane(4)), (_plane(3), torch.zeros_like(_plane(3)))]
    for pair, part in zip(pairs, (first, second, second), strict=True):
        whole.update(*pair)
        part.update(*pair)
    first.merge(second)
    assert first.compute() == whole.compute()
