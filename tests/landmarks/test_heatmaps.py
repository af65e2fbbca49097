"""Heatmaps against SciPy's densities, MONAI's transform, and finite differences."""

import math

import numpy as np
import pytest
import torch
from monai.transforms import GenerateHeatmap
from scipy.stats import multivariate_normal

from scripts.geometry.rotations import rotation_matrix
from scripts.landmarks import density_amplitude, gaussian_heatmaps

NAN = float("nan")


def drawn(points, shape, covariance):
    """Gaussians of peak 1 by SciPy: N D H W."""
    index = np.moveaxis(np.indices(shape), 0, -1)
    return np.stack(
        [
            multivariate_normal(p, covariance).pdf(index) * math.sqrt(np.linalg.det(2 * math.pi * covariance))
            for p in np.asarray(points)
        ]
    )


@pytest.mark.parametrize(
    ("shape", "points", "sigma"),
    [
        ((12, 17), [[4.3, 9.0], [0.0, 16.4]], 2.5),
        ((12, 17), [[4.3, 9.0], [0.0, 16.4]], (2.5, 4.0)),
        ((7, 12, 9), [[3.3, 9.2, 0.0], [-0.4, 11.0, 8.25]], 2.0),
        ((7, 12, 9), [[3.3, 9.2, 0.0], [-0.4, 11.0, 8.25]], (1.0, 2.0, 3.0)),
    ],
)
def test_they_are_gaussians_between_voxels(shape, points, sigma):
    found = gaussian_heatmaps(torch.tensor([points], dtype=torch.float64), shape, sigma, 100.0)[0]
    covariance = np.diag(np.broadcast_to(sigma, len(shape)) ** 2.0)
    np.testing.assert_allclose(found, 100 * drawn(points, shape, covariance), atol=1e-9)


@pytest.mark.parametrize(
    ("shape", "point", "sigma", "angles"),
    [
        ((16, 21), [7.4, 9.1], (2.0, 5.0), (30.0,)),
        ((9, 12, 10), [4.4, 6.0, 5.3], (1.5, 2.5, 4.0), (25.0, -40.0, 70.0)),
    ],
)
def test_turned_gaussians_have_the_axes_of_the_rotation(shape, point, sigma, angles):
    points = torch.tensor([[point, point]], dtype=torch.float64)
    turns = torch.tensor([angles, [0.0] * len(angles)], dtype=torch.float64)
    found = gaussian_heatmaps(points, shape, sigma, angles=turns)[0]
    rotation = rotation_matrix(angles).numpy()
    squares = np.diag(np.square(sigma))
    np.testing.assert_allclose(found[0], drawn([point], shape, rotation @ squares @ rotation.T)[0], atol=1e-12)
    np.testing.assert_allclose(found[1], drawn([point], shape, squares)[0], atol=1e-12)


def test_each_landmark_has_its_own_width_and_height():
    points = torch.tensor([[[4.0, 5.0], [6.0, 3.0]]], dtype=torch.float64)
    sigma = torch.tensor([[1.0, 2.0], [3.0, 1.5]], dtype=torch.float64)
    found = gaussian_heatmaps(points, (9, 10), sigma, torch.tensor([2.0, 5.0]))[0]
    for n, height in enumerate((2.0, 5.0)):
        expected = height * drawn(points[0, n : n + 1], (9, 10), np.diag(sigma[n].numpy() ** 2))[0]
        np.testing.assert_allclose(found[n], expected, atol=1e-9)


@pytest.mark.parametrize(
    ("shape", "points", "sigma"),
    [((24, 30), [[10.0, 12.0], [14.0, 17.0]], 3.0), ((20, 22, 24), [[9.0, 11.0, 12.0]], (2.0, 3.0, 2.5))],
)
def test_at_voxel_centres_they_are_monais(shape, points, sigma):
    """MONAI blurs the landmark's voxel: its Gaussian is integrated over voxels, and cut off."""
    monais = GenerateHeatmap(sigma, shape, truncated=6.0)(torch.tensor(points))
    found = gaussian_heatmaps(torch.tensor([points]), shape, sigma)[0]
    torch.testing.assert_close(found, monais, rtol=0, atol=0.015)
    assert (found.flatten(1).argmax(1) == monais.flatten(1).argmax(1)).all()


def test_outside_is_nothing_and_missing_is_unknown():
    points = torch.tensor([[[-0.5, 3.0], [7.49, 3.0], [7.5, 3.0], [-0.51, 3.0], [NAN, 3.0], [3.0, math.inf]]])
    maps = gaussian_heatmaps(points, (8, 9), 2.0)[0]
    assert [float(one.max()) > 0.9 for one in maps] == [True, True, False, False, False, False]
    assert (maps[[2, 3, 5]] == 0).all()
    assert maps[4].isnan().all()


@pytest.mark.parametrize("level", [1, 2])
def test_coarser_levels_have_scaled_landmarks_and_sigmas(level):
    points = torch.tensor([[[8.2, 13.0, 4.9], [31.4, 0.0, 15.4]]], dtype=torch.float64)
    factor = 2**level
    shape = [n // factor for n in (32, 24, 16)]
    found = gaussian_heatmaps(points, shape, 4.0, full_shape=(32, 24, 16))
    at_level = (points[0].numpy() + 0.5) / factor - 0.5
    np.testing.assert_allclose(found[0], drawn(at_level, shape, np.eye(3) * (4.0 / factor) ** 2), atol=1e-9)


def test_levels_of_unequal_factors_turn_in_the_image():
    points = torch.tensor([[[8.2, 13.0]]], dtype=torch.float64)
    found = gaussian_heatmaps(points, (32, 12), (2.0, 5.0), angles=torch.tensor([30.0]), full_shape=(32, 24))
    full = gaussian_heatmaps(points + torch.tensor([0.0, 0.5]), (32, 24), (2.0, 5.0), angles=torch.tensor([30.0]))
    torch.testing.assert_close(found, full[..., 1::2])  # centres of pairs: half a voxel before the second


def test_gradients_by_finite_differences():
    points = torch.tensor([[[3.3, 2.2], [NAN, 1.0]], [[2.0, 4.6], [9.0, 1.0]]], dtype=torch.float64)
    sigma = torch.tensor([[1.2, 2.0], [1.5, 0.8]], dtype=torch.float64, requires_grad=True)
    angles = torch.tensor([20.0, -50.0], dtype=torch.float64, requires_grad=True)
    amplitude = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)

    def maps(s, t, a):
        return gaussian_heatmaps(points, (6, 7), s, a, angles=t).nan_to_num()

    assert torch.autograd.gradcheck(maps, (sigma, angles, amplitude))
    assert torch.autograd.gradcheck(lambda s: gaussian_heatmaps(points, (6, 7), s).nan_to_num(), sigma)


def test_the_amplitude_of_a_density_makes_the_sum_gamma():
    sigma = torch.tensor([[2.0, 3.0], [2.5, 2.0]])
    amplitude = density_amplitude(100.0, sigma)
    torch.testing.assert_close(amplitude[0], torch.tensor(100 / (2 * math.pi * 6)))
    maps = gaussian_heatmaps(torch.tensor([[[20.3, 20.0], [19.0, 21.2]]]), (41, 42), sigma, amplitude)
    torch.testing.assert_close(maps.sum(dim=(2, 3)), torch.full((1, 2), 100.0), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": torch.zeros(1, 2, 3)}, r"shape B N 2 for maps of shape \[6, 7\]; got \[1, 2, 3\]"),
        ({"sigma": 0.0}, r"sigma must be above 0 everywhere; got 0\.0"),
        ({"sigma": (1.0, 2.0, 3.0)}, r"sigma must be a number, 2 numbers .* \[4, 2\]; got shape \[3\]"),
        ({"angles": torch.zeros(4, 3)}, r"angles must have shape \[4\] or \[4, 1\] in 2D; got \[4, 3\]"),
        ({"full_shape": (6, 7, 8)}, r"full_shape must have 2 axes, as shape \[6, 7\] has; got \[6, 7, 8\]"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        gaussian_heatmaps(**({"points": torch.zeros(1, 4, 2), "shape": (6, 7), "sigma": 1.0} | options))
