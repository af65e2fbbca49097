"""PHD-Net's truth against loops over patches."""

import itertools
import math

import numpy as np
import pytest
import torch

from scripts.landmarks import patch_class_maps, patch_displacements

NAN = float("nan")
CASES = [
    pytest.param((20, 40), [[3.0, 30.2], [19.0, 1.5]], 8, id="2D"),
    pytest.param((9, 16, 26), [[8.2, 3.0, 20.0]], 8, id="3D"),
    pytest.param((9, 16), [[8.2, 3.0]], (2, 4), id="unequal patches"),
]


def patches(shape, patch_size):
    """Index of each patch, and its centre."""
    sizes = np.broadcast_to(patch_size, len(shape))
    for index in itertools.product(*(range(math.ceil(n / s)) for n, s in zip(shape, sizes, strict=True))):
        yield index, np.array(index) * sizes + (sizes - 1) / 2, sizes


@pytest.mark.parametrize(("shape", "points", "patch_size"), CASES)
def test_class_maps_are_gaussians_in_patches(shape, points, patch_size):
    both = torch.tensor([points, points[::-1]])
    found = patch_class_maps(both, shape, patch_size=patch_size, sigma=1.5, amplitude=10.0)
    for n, point in enumerate(points):
        for index, centre, sizes in patches(shape, patch_size):
            expected = 10 * math.exp(-(((np.array(point) - centre) / sizes) ** 2).sum() / (2 * 1.5**2))
            assert float(found[(0, n, *index)]) == pytest.approx(expected, rel=1e-5)
            assert float(found[(1, len(points) - 1 - n, *index)]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("shape", "points", "patch_size"), CASES)
def test_the_binary_class_is_the_patch_that_holds_the_landmark(shape, points, patch_size):
    found = patch_class_maps(torch.tensor([points]), shape, patch_size=patch_size, scheme="binary", amplitude=3.0)[0]
    for one, point in zip(found, points, strict=True):
        place = tuple(int((p + 0.5) // s) for p, s in zip(point, np.broadcast_to(patch_size, len(shape)), strict=True))
        assert float(one[place]) == 3
        assert torch.count_nonzero(one) == 1


@pytest.mark.parametrize(("shape", "points", "patch_size"), CASES)
def test_displacements_point_from_centres_to_landmarks(shape, points, patch_size):
    plain = patch_displacements(torch.tensor([points]), shape, patch_size=patch_size, log_transform=False)[0]
    short = patch_displacements(torch.tensor([points]), shape, patch_size=patch_size, most=9.0, log_transform=False)[0]
    coded = patch_displacements(torch.tensor([points]), shape, patch_size=patch_size, most=9.0)[0]
    dims = len(shape)
    for n, point in enumerate(points):
        for index, centre, _ in patches(shape, patch_size):
            away = np.array(point) - centre
            limited = away * min(1, 9 / np.linalg.norm(away))
            channels = slice(n * dims, (n + 1) * dims)
            np.testing.assert_allclose(plain[(channels, *index)], away, rtol=1e-5)
            np.testing.assert_allclose(short[(channels, *index)], limited, rtol=1e-5)
            expected = np.sign(limited) * np.log2(1 + np.abs(limited))
            np.testing.assert_allclose(coded[(channels, *index)], expected, rtol=1e-5)


def test_missing_landmarks_are_unknown_and_those_outside_are_pointed_at():
    points = torch.tensor([[[NAN, 5.0], [-20.0, 5.0], [5.0, 5.0]]])
    classes = patch_class_maps(points, (16, 24))
    displacements = patch_displacements(points, (16, 24), log_transform=False)
    assert classes[0, 0].isnan().all()
    assert (classes[0, 1] == 0).all()
    assert classes[0, 2].max() > 0.9
    assert displacements[0, :2].isnan().all()
    assert displacements[0, 2:4, 0, 0].tolist() == [-23.5, 1.5]


def test_what_does_not_fit_is_refused():
    points = torch.zeros(1, 2, 2)
    with pytest.raises(ValueError, match=r"one of gaussian, binary; got 'gausian' \(did you mean 'gaussian'\?\)"):
        patch_class_maps(points, (16, 16), scheme="gausian")
    with pytest.raises(ValueError, match="sigma must be above 0; got 0"):
        patch_class_maps(points, (16, 16), sigma=0)
    with pytest.raises(ValueError, match=r"shape B N 3 for an image of \[16, 16, 16\]; got \[1, 2, 2\]"):
        patch_displacements(points, (16, 16, 16))
