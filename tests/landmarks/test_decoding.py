"""Coordinates of Gaussians at known places, in voxels of two grids and in mm."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from scripts.landmarks import (
    DECODINGS,
    EVALUATION_MODES,
    decode_at,
    decode_heatmaps,
    gaussian_heatmaps,
    resize_heatmaps,
    scale_points,
    voxels_to_world,
)

NAN = float("nan")


def landmarks(shape, n=6, seed=0):
    """Random places of two images, at least 6 voxels from the border."""
    drawn = np.random.default_rng(seed).uniform(6, np.array(shape) - 7, (2, n, len(shape)))
    return torch.from_numpy(drawn).float()


@pytest.mark.parametrize("shape", [(40, 57), (24, 31, 28)], ids=["2D", "3D"])
@pytest.mark.parametrize("sigma", [1.5, 3.0])
def test_errors_on_gaussians(shape, sigma):
    points = landmarks(shape)
    maps = gaussian_heatmaps(points, shape, sigma, 100.0)
    found, values = decode_heatmaps(maps)
    assert (found - points).abs().max() < 0.001
    torch.testing.assert_close(values, maps.flatten(2).amax(dim=2))
    highest, _ = decode_heatmaps(maps, "argmax")
    assert torch.equal(highest, points.round())
    mean, _ = decode_heatmaps(maps, "soft_argmax", temperature=10.0, window=5)
    assert (mean - points).abs().max() < 0.05


@pytest.mark.parametrize("decoding", DECODINGS)
def test_maps_without_a_maximum_have_no_place(decoding):
    maps = gaussian_heatmaps(torch.tensor([[[5.0, 5.0], [NAN, 5.0], [99.0, 5.0]]]), (12, 12), 2.0)
    found, values = decode_heatmaps(maps, decoding, window=4)
    assert found[0, 0].isfinite().all()
    assert found[0, 1:].isnan().all()
    assert values[0].isnan().tolist() == [False, True, False]


@pytest.mark.parametrize(("shape", "full_shape"), [((32, 48), (100, 96)), ((16, 24, 20), (32, 40, 60))])
def test_three_ways_to_the_full_image(shape, full_shape):
    factor = torch.tensor(full_shape) / torch.tensor(shape)
    points = landmarks(shape)
    maps = gaussian_heatmaps(points, shape, 2.0)
    in_image = (points + 0.5) * factor - 0.5
    scaled, activation = decode_at("scale_pred_coords", maps, full_shape)
    torch.testing.assert_close(scaled, in_image, rtol=0, atol=0.01)
    resized, same_activation = decode_at("scale_heatmap_first", maps, full_shape)
    assert (
        (resized - in_image) / factor
    ).abs().max() < 0.1  # voxels of the heatmap: a cubic between them is no Gaussian
    stayed, _ = decode_at("use_input_size", maps, full_shape)
    torch.testing.assert_close(stayed, points, rtol=0, atol=0.01)
    assert torch.equal(activation, same_activation)
    assert torch.equal(activation, maps.flatten(2).amax(dim=2))


def test_a_resized_heatmap_shows_a_maximum_between_voxels_to_argmax():
    points = torch.tensor([[[10.3, 12.7]]])
    maps = gaussian_heatmaps(points, (24, 32), 2.0)
    full, _ = decode_at("scale_heatmap_first", maps, (96, 128), "argmax")
    scaled, _ = decode_at("scale_pred_coords", maps, (96, 128), "argmax")
    in_image = (points + 0.5) * 4 - 0.5
    assert (full - in_image).abs().max() <= 0.5
    assert (scaled - in_image).abs().max() > 1


@pytest.mark.parametrize("mode", EVALUATION_MODES)
def test_no_mode_finds_a_place_in_a_constant_map(mode):
    maps = torch.full((1, 1, 7, 9), 0.1)
    assert decode_at(mode, maps, (15, 23))[0].isnan().all()


def test_options_of_the_mean_place_reach_it():
    maps = gaussian_heatmaps(torch.tensor([[[10.3, 12.7]]]), (24, 32), 2.0)
    near = decode_at("use_input_size", maps, (24, 32), "soft_argmax", temperature=0.1, window=5)[0]
    assert (near - torch.tensor([10.3, 12.7])).abs().max() < 0.05
    for options in ({"temperature": 0.2}, {"temperature": 0.1, "window": 0}):
        assert (decode_at("use_input_size", maps, (24, 32), "soft_argmax", **options)[0] - near).abs().max() > 0.05


def test_the_mean_place_has_its_highest_weight_beside_it():
    """By NumPy: exp(value / temperature) over the sum of all; the same for maps that are raised."""
    maps = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    weights = np.exp(maps.numpy() / 0.5)
    expected = weights.max(axis=(2, 3)) / weights.sum(axis=(2, 3))
    for raised in (0.0, 100.0):
        _, found = decode_heatmaps(maps + raised, "soft_argmax", temperature=0.5)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3)


def test_in_2d_resizing_is_torchs_bicubic_and_in_3d_acts_along_each_axis():
    maps = torch.randn(2, 3, 7, 10, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(maps, size=(15, 23), mode="bicubic", align_corners=False)
    torch.testing.assert_close(resize_heatmaps(maps, (15, 23)), expected)
    volume = maps[..., None] * torch.tensor([1.0, -2.0, 3.0])
    torch.testing.assert_close(resize_heatmaps(volume, (15, 23, 3))[..., 1], -2 * expected)


def test_scaled_points_by_hand():
    points = torch.tensor([[[0.0, 3.5], [NAN, 0.0]]])
    found = scale_points(points, (4, 8), (8, 4))
    torch.testing.assert_close(found, torch.tensor([[[0.5, 1.5], [NAN, -0.25]]]), equal_nan=True)


def test_world_positions_by_hand():
    points = torch.tensor([[[1.0, 2.0, 3.0], [NAN, 0.0, 0.0]]])
    affine = torch.tensor([[0, 2.0, 0, 10], [3.0, 0, 0, 20], [0, 0, -1.0, 30], [0, 0, 0, 1]])
    found = voxels_to_world(points, affine)
    assert found.dtype == torch.float64
    assert found[0, 0].tolist() == [14, 23, 27]
    assert found[0, 1].isnan().any()
    both = voxels_to_world(points[:, :1].repeat(2, 1, 1), torch.stack([affine, torch.eye(4)]))
    assert both[:, 0].tolist() == [[14, 23, 27], [1, 2, 3]]


def test_a_2d_image_may_have_an_affine_of_three_axes():
    affine = torch.diag(torch.tensor([0.5, 2.0, 7.0, 1.0]))
    affine[:2, -1] = torch.tensor([1.0, -1.0])
    assert voxels_to_world(torch.tensor([[[4.0, 3.0]]]), affine)[0, 0].tolist() == [3, 5]


def test_what_does_not_fit_is_refused():
    maps = torch.rand(1, 2, 5, 6)
    with pytest.raises(ValueError, match=r"soft_argmax; got 'subpixl' \(did you mean 'subpixel'\?\)"):
        decode_heatmaps(maps, "subpixl")
    with pytest.raises(ValueError, match=r"use_input_size; got 'input_size' \(did you mean 'use_input_size'\?\)"):
        decode_at("input_size", maps, (5, 6))
    with pytest.raises(ValueError, match=r"got shape \[5, 6\] and full_shape \[5, 6, 7\]"):
        decode_at("scale_pred_coords", maps, (5, 6, 7))
    with pytest.raises(ValueError, match=r"shape \[1, 2, 5, 6\] cannot be resized to \[5\]"):
        resize_heatmaps(maps, (5,))
    with pytest.raises(
        ValueError, match=r"an affine of at least 3 x 3, one or one per batch entry; got shape \[2, 2\]"
    ):
        voxels_to_world(torch.zeros(1, 4, 2), torch.eye(2))
