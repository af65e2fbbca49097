"""Gaussians whose parameters are known."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from scripts.geometry.rotations import rotation_matrix
from scripts.landmarks import fit_gaussians, peak_points

NAN = float("nan")


def bells(centres, shape, covariance, amplitude=1.0, offset=0.0):
    """Gaussians by NumPy: 1 M D H W, float64."""
    away = np.indices(shape).reshape(len(shape), -1).T[None] - np.asarray(centres)[:, None]
    square = np.einsum("mva,ab,mvb->mv", away, np.linalg.inv(covariance), away)
    return torch.from_numpy(offset + amplitude * np.exp(-square / 2).reshape(1, -1, *shape))


def turned(sigma, angles):
    rotation = rotation_matrix(angles).numpy()
    return rotation @ np.diag(np.square(sigma)) @ rotation.T


CASES = [
    pytest.param((30, 40), [(12.3, 20.45), (15.0, 18.2), (1.2, 38.7)], turned((2.0, 4.0), (35.0,)), id="2D"),
    pytest.param((22, 24, 20), [(10.3, 12.45, 9.1)], turned((1.5, 2.0, 3.5), (20.0, -30.0, 50.0)), id="3D"),
    pytest.param((30, 40), [(12.3, 20.45)], np.diag([0.25, 0.36]), id="narrow"),
]


@pytest.mark.parametrize(("shape", "centres", "covariance"), CASES)
def test_all_parameters_are_found(shape, centres, covariance):
    fit = fit_gaussians(bells(centres, shape, covariance, 80.0, -3.0))
    assert fit.converged.all()
    np.testing.assert_allclose(fit.points[0], centres, atol=1e-4)
    np.testing.assert_allclose(
        fit.covariance[0], np.broadcast_to(covariance, fit.covariance[0].shape), rtol=1e-3, atol=1e-6
    )
    np.testing.assert_allclose(fit.amplitude, 80, rtol=1e-3)
    np.testing.assert_allclose(fit.offset, -3, atol=0.05)
    np.testing.assert_allclose(fit.sigmas[0, 0], np.sqrt(np.linalg.eigvalsh(covariance)), rtol=1e-3)


def test_batches_keep_their_order():
    centres = [(8.3, 9.0), (10.6, 5.1), (6.0, 12.4), (9.9, 9.9)]
    maps = bells(centres, (20, 20), np.diag([4.0, 4.0])).reshape(2, 2, 20, 20)
    fit = fit_gaussians(MetaTensor(maps.float()))
    np.testing.assert_allclose(fit.points.reshape(4, 2), centres, atol=1e-3)
    assert fit.points.shape == (2, 2, 2)
    assert fit.covariance.shape == (2, 2, 2, 2)


def test_noise_hurts_the_fit_less_than_the_maximum():
    rng = np.random.default_rng(0)
    centres = rng.uniform(12, 18, (24, 2))
    maps = bells(centres, (30, 30), np.diag([9.0, 9.0]))
    noisy = maps + torch.from_numpy(rng.normal(0, 0.05, maps.shape))
    fitted = np.linalg.norm(fit_gaussians(noisy).points[0].numpy() - centres, axis=1)
    refined = np.linalg.norm(peak_points(noisy)[0].numpy() - centres, axis=1)
    assert fitted.mean() < 0.15
    assert fitted.mean() < refined.mean() / 3


def test_a_second_peak_and_bright_voxels_pull_little():
    maps = bells([(15.3, 15.7)], (40, 40), np.diag([9.0, 4.0]))
    spoilt = maps + 0.4 * bells([(15.0, 25.0)], (40, 40), np.diag([4.0, 4.0]))
    spoilt[0, 0, 12:14, 11] += 0.5
    fit = fit_gaussians(spoilt)
    assert (fit.points[0, 0] - torch.tensor([15.3, 15.7])).abs().max() < 0.15
    assert (fit.sigmas[0, 0] - torch.tensor([2.0, 3.0])).abs().max() < 0.4


def test_the_window_says_what_is_looked_at():
    maps = bells([(15.3, 15.7)], (40, 40), np.diag([4.0, 4.0]))
    maps[0, 0, :, 22:] = 0.9  # six voxels from the peak on
    near, far = fit_gaussians(maps, window=5), fit_gaussians(maps, window=20)
    assert (near.points[0, 0] - torch.tensor([15.3, 15.7])).abs().max() < 1e-3
    assert (far.sigmas[0, 0] - near.sigmas[0, 0]).abs().max() > 0.2


def test_maps_without_a_maximum_have_no_gaussian():
    maps = bells([(5.0, 5.0)] * 3, (12, 12), np.diag([4.0, 4.0]))
    maps[0, 1] = 0.0
    maps[0, 2, 3, 3] = NAN
    fit = fit_gaussians(maps)
    assert fit.converged.tolist() == [[True, False, False]]
    for values in (fit.points, fit.amplitude[..., None], fit.offset[..., None], fit.sigmas):
        assert values[0, 0].isfinite().all()
        assert values[0, 1:].isnan().all()


def test_where_there_is_no_gaussian_the_maximum_stands():
    """A slope, whose Gaussian lies beyond the map."""
    maps = bells([(25.0, 6.3)], (12, 12), np.diag([64.0, 4.0]))
    fit = fit_gaussians(maps)
    assert fit.converged.tolist() == [[False]]
    torch.testing.assert_close(fit.points, peak_points(maps))
    assert fit.covariance.isnan().all()
    assert fit.amplitude.isnan().all()


def test_a_gaussian_wider_than_the_map_is_none():
    maps = bells([(6.0, 6.3)], (12, 12), np.diag([1e4, 4.0]))
    assert fit_gaussians(maps).converged.tolist() == [[False]]


def test_a_window_must_have_voxels():
    with pytest.raises(ValueError, match="window must be a whole number of at least 1, or None; got 0"):
        fit_gaussians(torch.zeros(1, 1, 4, 4), window=0)
