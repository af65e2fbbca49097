"""The heatmaps' widths as parameters."""

import math

import pytest
import torch

from scripts.landmarks import LearnedSigma, gaussian_heatmaps


@pytest.mark.parametrize(
    ("dims", "anisotropic", "widths", "angles"),
    [(2, False, (3, 1), None), (2, True, (3, 2), (3, 1)), (3, False, (3, 1), None), (3, True, (3, 3), (3, 3))],
)
def test_it_begins_with_equal_widths_along_all_axes(dims, anisotropic, widths, angles):
    learned = LearnedSigma(3, dims, initial=2.5, anisotropic=anisotropic, gamma=50.0)
    assert learned.widths.shape == widths
    torch.testing.assert_close(learned.sigmas, torch.full((3, dims), 2.5))
    assert (None if learned.angles is None else learned.angles.shape) == angles
    points = torch.rand(2, 3, dims, generator=torch.Generator().manual_seed(0)) * 10
    shape = (12, 11, 10)[:dims]
    peak = 50 / (math.sqrt(2 * math.pi) * 2.5) ** dims
    torch.testing.assert_close(learned(points, shape), gaussian_heatmaps(points, shape, 2.5, peak))


def test_widths_and_turns_reach_the_map():
    learned = LearnedSigma(1, 2, anisotropic=True)
    with torch.no_grad():
        learned.log_sigma.copy_(torch.tensor([[1.0, 2.0]]).log())
        learned.turns.fill_(math.radians(30))
    torch.testing.assert_close(learned.angles, torch.tensor([[30.0]]))
    points = torch.tensor([[[6.2, 9.0]]])
    expected = gaussian_heatmaps(points, (14, 20), (1.0, 2.0), 100 / (4 * math.pi), angles=torch.tensor([30.0]))
    torch.testing.assert_close(learned(points, (14, 20)), expected)


def test_coarser_levels_are_those_of_the_image():
    learned = LearnedSigma(1, 2, initial=2.0)
    points = torch.tensor([[[6.5, 8.5]]])
    expected = gaussian_heatmaps(torch.tensor([[[3.0, 4.0]]]), (8, 10), 1.0, 100 / (8 * math.pi))
    torch.testing.assert_close(learned(points, (8, 10), (16, 20)), expected)


def test_every_parameter_has_a_gradient():
    learned = LearnedSigma(2, 3, anisotropic=True)
    with torch.no_grad():
        learned.log_sigma.mul_(torch.tensor([0.5, 0.6, 0.7]))
    maps = learned(torch.tensor([[[4.2, 5.0, 3.3], [6.1, 4.0, 7.7]]]), (10, 9, 11))
    maps.square().sum().backward()
    assert (learned.log_sigma.grad.abs() > 1e-3).all()
    assert (learned.turns.grad.abs() > 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spatial_dims": 4}, "spatial_dims must be 2 or 3; got 4"),
        ({"n_landmarks": 0}, "got n_landmarks = 0, initial = 4.0, gamma = 100.0"),
        ({"initial": 0}, "got n_landmarks = 2, initial = 0,"),
        ({"gamma": -1}, "gamma = -1"),
    ],
)
def test_numbers_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        LearnedSigma(**({"n_landmarks": 2} | options))
