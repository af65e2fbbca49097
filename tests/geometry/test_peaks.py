"""Places of maxima, against Gaussians drawn between voxels."""

import math

import numpy as np
import pytest
import torch

from scripts.geometry.peaks import highest_voxels, peak_points, refine_points, soft_argmax

NAN = float("nan")


def bells(centres, shape, covariance, amplitude=1.0):
    """Gaussians by NumPy, M of them in one batch entry: 1 M D H W, float64."""
    away = np.indices(shape).reshape(len(shape), -1).T[None] - np.asarray(centres)[:, None]
    square = np.einsum("mva,ab,mvb->mv", away, np.linalg.inv(covariance), away)
    return torch.from_numpy(amplitude * np.exp(-square / 2).reshape(1, -1, *shape))


SHIFTS_2D = [(7 + a, 9 + b) for a in (-0.45, 0.0, 0.3) for b in (-0.5, -0.1, 0.49)]
CASES = [
    pytest.param((16, 21), SHIFTS_2D, np.diag([4.0, 4.0]), id="2D"),
    pytest.param((16, 21), SHIFTS_2D, np.array([[4.0, 2.5], [2.5, 3.0]]), id="2D turned"),
    pytest.param((12, 17, 14), [(6 + a, 8 - a, 7 + 0.37) for a in (-0.4, 0.2, 0.5)], np.diag([2.0, 9.0, 4.0]), id="3D"),
]


@pytest.mark.parametrize(("shape", "centres", "covariance"), CASES)
def test_gaussians_are_found_between_voxels(shape, centres, covariance):
    maps = bells(centres, shape, covariance, 100.0)
    np.testing.assert_allclose(peak_points(maps)[0], centres, atol=1e-6)
    np.testing.assert_allclose(peak_points(maps.float())[0], centres, atol=1e-3)


def test_the_highest_voxel_is_that_of_numpy_and_the_first_of_several():
    maps = torch.rand(2, 3, 5, 7, 4, generator=torch.Generator().manual_seed(0))
    maps[1, 2] = 0.0
    maps[1, 2, 1, 2, 3] = maps[1, 2, 4, 0, 0] = 2.0
    points, values = highest_voxels(maps)
    for b in range(2):
        for n in range(3):
            expected = np.unravel_index(maps[b, n].numpy().argmax(), (5, 7, 4))
            assert points[b, n].tolist() == list(expected)
            assert values[b, n] == maps[b, n].max()
    assert points[1, 2].tolist() == [1, 2, 3]


def test_maps_without_a_maximum_have_no_place():
    maps = torch.zeros(1, 3, 6, 6)
    maps[0, 1, 2, 3] = NAN
    maps[0, 2, 2, 3] = 1.0
    for points in (highest_voxels(maps)[0], peak_points(maps)):
        assert points[0, :2].isnan().all()
        assert points[0, 2].tolist() == [2, 3]


def test_gaussians_at_the_border_and_beyond_it_are_found_from_inside():
    centres = [(0.3, 8.0), (-0.4, 20.3), (15.2, 0.0)]
    maps = bells(centres, (16, 21), np.diag([4.0, 4.0]))
    np.testing.assert_allclose(peak_points(maps)[0], centres, atol=1e-6)


def test_negative_neighbours_are_met_by_a_parabola_of_the_values():
    index = torch.arange(9.0, dtype=torch.float64)
    parabola = 1.0 - (index - 4.3) ** 2  # below 0 from one voxel on
    found = peak_points((parabola[:, None] + parabola[None, :])[None, None])
    torch.testing.assert_close(found, torch.full((1, 1, 2), 4.3, dtype=torch.float64))


def test_an_axis_of_two_voxels_stays_and_the_others_are_refined():
    maps = bells([(1.0, 6.25)], (2, 13), np.diag([4.0, 4.0]))
    np.testing.assert_allclose(peak_points(maps)[0, 0], [1.0, 6.25], atol=1e-6)
    maps = bells([(0.8, 6.25)], (2, 13), np.diag([4.0, 4.0]))
    np.testing.assert_allclose(peak_points(maps)[0, 0], [1.0, 6.25], atol=1e-6)


def test_a_ridge_without_a_highest_place_stays_at_its_voxel():
    maps = bells([(4.3, 5.0)], (9, 11), np.diag([4.0, 1e12]))
    maps[0, 0] = maps[0, 0, :, :1]  # the same in every column
    assert peak_points(maps)[0, 0].tolist() == [4, 0]


def test_a_maximum_far_beyond_the_border_is_not_believed():
    maps = bells([(12.0, 5.3)], (9, 11), np.diag([25.0, 4.0]))
    assert peak_points(maps)[0, 0].tolist() == [8, 5]


@pytest.mark.parametrize("shift", [-0.5, -0.2, 0.0, 0.35])
@pytest.mark.parametrize("amplitude", [1.0, 100.0])
def test_the_mean_place_of_a_gaussian_in_a_window(shift, amplitude):
    """Weights exp(peak / T) of a Gaussian fall off within the window, and the background hardly counts."""
    maps = bells([(20 + shift, 14.25)], (40, 30), np.diag([9.0, 9.0]), amplitude)
    found = soft_argmax(maps, temperature=amplitude / 10, window=6)
    np.testing.assert_allclose(found[0, 0], [20 + shift, 14.25], atol=0.05)


def test_the_mean_place_is_the_weighted_sum_by_numpy():
    maps = torch.randn(2, 3, 4, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = soft_argmax(maps, temperature=0.5)
    weights = np.exp(maps.numpy() / 0.5)
    weights /= weights.sum(axis=(2, 3, 4), keepdims=True)
    expected = np.stack([(weights * index).sum(axis=(2, 3, 4)) for index in np.indices((4, 6, 5))], axis=2)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_low_temperature_gives_the_highest_voxel_and_a_window_keeps_a_second_peak_out():
    maps = bells([(6, 8)], (30, 20), np.diag([4.0, 4.0])) + 0.9 * bells([(22, 8)], (30, 20), np.diag([4.0, 4.0]))
    np.testing.assert_allclose(soft_argmax(maps, 1e-3)[0, 0], [6, 8], atol=1e-6)
    assert soft_argmax(maps, 0.1)[0, 0, 0] > 9
    np.testing.assert_allclose(soft_argmax(maps, 0.1, window=6)[0, 0], [6, 8], atol=0.05)


@pytest.mark.parametrize("window", [None, 2])
def test_the_mean_place_passes_a_gradient_by_finite_differences(window):
    maps = torch.randn(1, 2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: soft_argmax(m, 0.7, window), maps)


def test_half_precision_is_read_as_float32():
    maps = bells([(20.25, 14.0)], (40, 30), np.diag([9.0, 9.0])).half()
    found = soft_argmax(maps, 0.1, 6)
    assert found.dtype == torch.float32
    assert math.isclose(found[0, 0, 0], 20.25, abs_tol=0.05)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"shape B N D H W or B N H W; got \[2, 3\]"):
        highest_voxels(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"have points of shape \[1, 2, 2\]; got \[1, 2, 3\]"):
        refine_points(torch.zeros(1, 2, 5, 5), torch.zeros(1, 2, 3))
    with pytest.raises(ValueError, match="temperature must be a number above 0; got 0"):
        soft_argmax(torch.zeros(1, 1, 4, 4), 0)
    with pytest.raises(ValueError, match="window must be a whole number of at least 0, or None; got -1"):
        soft_argmax(torch.zeros(1, 1, 4, 4), window=-1)
