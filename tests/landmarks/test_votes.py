"""Votes of perfect and of wrong patches."""

import numpy as np
import pytest
import torch

from scripts.landmarks import decode_votes, patch_class_maps, patch_displacements, vote_maps


def landmarks(shape, n=5, seed=0):
    """Random landmarks of two images, up to the outermost voxels."""
    drawn = np.random.default_rng(seed).uniform(0, np.array(shape) - 1, (2, n, len(shape)))
    return torch.from_numpy(drawn).float()


SHAPES = [(40, 71), (64, 24), (17, 33, 24), (24, 24, 24)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("log_transform", [True, False])
@pytest.mark.parametrize("most", [None, 20.0])
def test_perfect_patches_find_the_landmark_within_half_a_voxel(shape, log_transform, most):
    points = landmarks(shape)
    classes = patch_class_maps(points, shape, amplitude=100.0)
    displacements = patch_displacements(points, shape, most=most, log_transform=log_transform)
    found, confidence = decode_votes(classes, displacements, shape, log_transform=log_transform)
    assert (found - points).abs().max() < 0.5
    assert (confidence > 0).all()


@pytest.mark.parametrize("patch_size", [4, (4, 16)])
def test_patches_of_other_sizes(patch_size):
    points = landmarks((40, 71))
    classes = patch_class_maps(points, (40, 71), patch_size=patch_size)
    displacements = patch_displacements(points, (40, 71), patch_size=patch_size)
    found, _ = decode_votes(classes, displacements, (40, 71), patch_size=patch_size)
    assert (found - points).abs().max() < 0.5


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_perfect_displacements_are_enough(shape):
    points = landmarks(shape)
    found, confidence = decode_votes(None, patch_displacements(points, shape), shape)
    assert (found - points).abs().max() < 0.25
    assert (confidence > 0.6).all()  # nearly all votes meet; those between voxels are shared
    assert (confidence <= 1.0001).all()


def test_a_class_map_alone_finds_the_patch():
    points = landmarks((64, 80))
    found, confidence = decode_votes(patch_class_maps(points, (64, 80), amplitude=7.0), None, (64, 80))
    assert (found - points).abs().max() < 6
    assert confidence.max() <= 7


def test_votes_by_hand():
    """Two patches of 8 voxels: one votes for 5, the other for 12.5; the class map is 1 and 3 at 3.5 and 11.5."""
    displacements = torch.tensor([[[1.5, 1.0]]])
    sigma = 0.8
    index = np.arange(16)
    bell = np.exp(-0.5 * ((index[:, None] - index) / sigma) ** 2)
    votes = (bell[5] + 0.5 * bell[12] + 0.5 * bell[13]) / 2
    found = vote_maps(None, displacements, (16,), vote_sigma=sigma, log_transform=False)
    np.testing.assert_allclose(found[0, 0], votes, rtol=1e-5, atol=1e-7)
    both = vote_maps(torch.tensor([[[1.0, 3.0]]]), displacements, (16,), vote_sigma=sigma, log_transform=False)
    classes = np.interp(index, [3.5, 11.5], [1, 3])
    np.testing.assert_allclose(both[0, 0], votes * classes, rtol=1e-5, atol=1e-7)


def test_the_class_map_decides_between_two_places():
    """Half of the patches agree on one place, slightly fewer on another, where the class map is."""
    shape = (32, 64)
    points = torch.tensor([[[10.0, 12.0]], [[20.0, 50.0]]])
    first, second = patch_displacements(points, shape)
    mixed = torch.where(torch.arange(8) < 5, first, second)[None]
    assert (decode_votes(None, mixed, shape)[0][0, 0] - points[0, 0]).abs().max() < 0.5
    classes = patch_class_maps(points[1:], shape)
    assert (decode_votes(classes, mixed, shape)[0][0, 0] - points[1, 0]).abs().max() < 0.5


def test_wider_votes_let_patches_agree_that_nearly_meet():
    points = landmarks((40, 48), 1)
    displacements = patch_displacements(points, (40, 48), log_transform=False)
    noisy = displacements + 2 * torch.randn(displacements.shape, generator=torch.Generator().manual_seed(0))
    narrow = decode_votes(None, noisy, (40, 48), log_transform=False, vote_sigma=0.5)[1]
    wide = decode_votes(None, noisy, (40, 48), log_transform=False, vote_sigma=3.0)[1]
    assert (wide > 2 * narrow).all()


def test_votes_beyond_the_image_are_lost_and_nothing_is_found_nowhere():
    displacements = torch.full((1, 2, 2, 3), 1e6)
    displacements[0, 0, 0, 0] = torch.nan
    found, confidence = decode_votes(None, displacements, (16, 24), log_transform=False)
    assert found.isnan().all()
    assert confidence.tolist() == [[0.0]]
    found, _ = decode_votes(torch.full((1, 1, 2, 3), -1.0), None, (16, 24))
    assert found.isnan().all()


@pytest.mark.parametrize(
    ("classes", "displacements", "options", "message"),
    [
        (None, None, {}, "class_maps and displacements are both None"),
        ((1, 2, 2, 2), None, {}, r"class_maps of an image of \[16, 24\] .* B N \[2, 3\]; got \[1, 2, 2, 2\]"),
        (None, (1, 3, 2, 3), {}, r"must have shape B \(N 2\) \[2, 3\]; got \[1, 3, 2, 3\]"),
        ((1, 2, 2, 3), (1, 2, 2, 3), {}, "2 class maps need 4 channels of displacements, 2 each; got 2"),
        ((1, 2, 2, 3), None, {"vote_sigma": 0}, "vote_sigma must be above 0; got 0"),
    ],
)
def test_what_does_not_fit_is_refused(classes, displacements, options, message):
    maps = [None if shape is None else torch.zeros(shape) for shape in (classes, displacements)]
    with pytest.raises(ValueError, match=message):
        decode_votes(*maps, (16, 24), **options)
