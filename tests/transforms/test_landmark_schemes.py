"""Augmentation schemes: what they do to space, read off the affine, and whether landmarks stay on their blobs."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose

from scripts.transforms import (
    LANDMARK_SCHEMES,
    LandmarksToPointsd,
    LoadLandmarksd,
    landmark_augmentation,
    landmark_space,
)

SIZE, FLAT = (24, 26, 28), (1, 40, 42)
SEEDS = range(30)
COMPLEX = [name for name in LANDMARK_SCHEMES if name.startswith("AffineComplex")]


def blobs(size, width=3.0):
    """An image with one blob a channel, and its landmarks."""
    middle = (np.array(size) - 1) / 2
    away = np.array([[1, 2.3, -3.1], [-2.2, -1.4, 2.6]]) * (np.array(size) > 1)
    index = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), axis=-1)
    values = [np.exp(-((index - middle - one) ** 2).sum(axis=-1) / (2 * width**2)) for one in away]
    image = MetaTensor(torch.tensor(np.array(values), dtype=torch.float32), affine=torch.eye(4))
    image.meta["original_affine"] = torch.eye(4)
    return {"image": image, "landmarks": middle + away}


def run(scheme, seed, size=SIZE):
    chain = [landmark_space(scheme, size), LoadLandmarksd(), *landmark_augmentation(size, scheme)]
    transform = Compose([*chain, LandmarksToPointsd("places")])
    return transform.set_random_state(seed)(blobs(size))


def maps(scheme, size=SIZE):
    """Linear part from new to old index, shift of the middle and sample, for each seed."""
    middle = (np.array(size) - 1) / 2
    for seed in SEEDS:
        sample = run(scheme, seed, size)
        affine = sample["image"].affine.numpy()
        yield affine[:3, :3], affine[:3, :3] @ middle + affine[:3, 3] - middle, sample


def centre(values):
    """Mean place of the upper part of a blob."""
    values = np.clip(np.asarray(values, np.float64) - 0.6 * float(values.max()), 0, None)
    return np.stack([(place * values).sum() / values.sum() for place in np.indices(values.shape)])


def test_no_scheme_does_nothing():
    assert landmark_augmentation(SIZE, None) == []


def test_flips_can_be_left_out():
    """Seeds of which some flip: without flips all landmarks keep their orientation."""
    for flip, flipped in ((True, {True, False}), (False, {False})):
        chain = landmark_augmentation(SIZE, "AffineSimple", flip=flip)
        signs = set()
        for seed in range(12):
            transform = Compose([LoadLandmarksd(), *chain]).set_random_state(seed)
            signs.add(bool(np.linalg.det(transform(blobs(SIZE))["image"].affine.numpy()[:3, :3]) < 0))
        assert signs == flipped


@pytest.mark.parametrize("size", [SIZE, FLAT], ids=["3D", "slice"])
@pytest.mark.parametrize("scheme", [name for name in LANDMARK_SCHEMES if "Elastic" not in name and name[-2:].isalpha()])
def test_landmarks_stay_on_their_blobs(scheme, size):
    for seed in range(6):
        sample = run(scheme, seed, size)
        for image, place in zip(sample["image"], sample["places"], strict=True):
            assert np.abs(centre(image) - place.numpy()).max() < 0.1


@pytest.mark.parametrize("scheme", [name for name in LANDMARK_SCHEMES if "Elastic" in name or name[-2:].isdigit()])
def test_landmarks_stay_on_blobs_that_are_deformed(scheme):
    """A blob that is bent has its mean place elsewhere than what was its middle, but not far away."""
    for seed in range(4):
        sample = run(scheme, seed)
        for image, place in zip(sample["image"], sample["places"], strict=True):
            assert np.abs(centre(image - image.min()) - place.numpy()).max() < 0.6


def test_simple_turns_scales_and_flips_without_shear_or_shift():
    angles, sizes, flips = [], [], []
    for linear, shift, _ in maps("AffineSimple", FLAT):
        scale = np.abs(np.linalg.det(linear)) ** (1 / 2)
        assert np.allclose(linear[1:, 1:].T @ linear[1:, 1:], scale**2 * np.eye(2), atol=1e-5)
        assert np.allclose(linear[0], [1, 0, 0])
        assert np.allclose(shift, 0, atol=1e-4)
        sizes.append(1 / scale)
        flips.append(np.linalg.det(linear) < 0)
        unflipped = linear[1:, 1:] * ([[-1], [1]] if flips[-1] else 1)
        angles.append(abs(np.degrees(np.arctan2(unflipped[1, 0], unflipped[0, 0]))))
    assert max(angles) < 45.01
    assert max(angles) > 30
    assert 0.79 < min(sizes) < 0.9
    assert 1.1 < max(sizes) < 1.21
    assert 0.3 < np.mean(flips) < 0.7
    assert 0.05 < np.mean(np.array(angles) == 0) < 0.45  # a quarter is not turned


@pytest.mark.parametrize("scheme", COMPLEX)
def test_complex_stretches_and_shifts_each_axis(scheme):
    sheared, shifts = [], []
    for linear, shift, _ in maps(scheme):
        lengths = np.linalg.svd(linear, compute_uv=False)
        sheared.append(lengths.max() / lengths.min() > 1.02)
        shifts.append(np.abs(shift) / SIZE)
        assert 0.4 < lengths.min() <= lengths.max() < 2
    assert 0.3 < np.mean(sheared) < 0.7  # half of them
    assert 0.04 < np.max(shifts) < 0.075 * np.sqrt(3) * 1.4
    assert 0.3 < np.mean(np.array(shifts).max(axis=1) < 1e-6) < 0.7


@pytest.mark.parametrize(("scheme", "largest", "stretches"), [("payer19", 1.4, False), ("thaler21", 1.2, True)])
def test_the_papers_schemes_never_flip(scheme, largest, stretches):
    sizes = []
    for linear, _, _ in maps(scheme):
        assert np.linalg.det(linear) > 0
        lengths = np.linalg.svd(linear, compute_uv=False)
        assert (lengths.max() / lengths.min() > 1.01) == stretches
        sizes.append(1 / np.cbrt(np.linalg.det(linear)))
    assert (max(sizes) > 1.25) == (largest > 1.25)


def test_deformations_have_the_roughness_of_their_scheme():
    found = {}
    for scheme, row in LANDMARK_SCHEMES.items():
        draw = landmark_space(scheme).set_random_state(0)
        drawn = []
        for _ in range(60):
            draw.randomize()
            drawn.append(0.0 if draw.drawn is None else draw.drawn.elastic_displacement)
        share = np.mean(np.array(drawn) > 0)
        found[scheme] = (round(share, 1), draw.elastic_spacing)
        assert max(drawn) <= row.elastic[2]
    assert found["AffineSimple"][0] == found["AffineComplex"][0] == found["CenterCropOnly"][0] == 0
    assert found["payer19"] == found["thaler21"] == (1.0, 10.0)
    assert 0.3 < found["AffineComplexElastic"][0] < 0.7
    assert found["AffineComplexElastic"][1] > found["AffineComplexElasticLight"][1] > found["payer19"][1]


def test_centre_crops_leave_everything():
    plain = blobs(SIZE)
    sample = run("CenterCropOnly", 0)
    assert torch.equal(sample["image"].as_tensor(), plain["image"].as_tensor())
    assert np.allclose(sample["places"], plain["landmarks"], atol=1e-5)


def test_blur_sharpness_and_intensities_change_where_the_scheme_says():
    """Everything else held still: the list without what moves."""
    image = blobs(SIZE)["image"] + 0.3 * torch.randn(SIZE, generator=torch.Generator().manual_seed(0))
    changed = {}
    for scheme in LANDMARK_SCHEMES:
        chain = [one for one in landmark_augmentation(SIZE, scheme) if "Affine" not in type(one).__name__]
        chain = Compose([one for one in chain if "Mirror" not in type(one).__name__])
        results = [chain.set_random_state(seed)({"image": image.clone()})["image"] for seed in SEEDS]
        changed[scheme] = [not torch.allclose(result, image) for result in results]
        roughness = [float(result.as_tensor().diff(dim=1).std()) for result in results]
        if scheme == "AffineComplexElasticBlur":
            assert min(roughness) < 0.5 * float(image.as_tensor().diff(dim=1).std())
        if scheme == "AffineComplexElasticBlurSharp":
            assert max(roughness) > 1.2 * float(image.as_tensor().diff(dim=1).std())
    shares = {scheme: np.mean(flags) for scheme, flags in changed.items()}
    assert {scheme for scheme, share in shares.items() if share == 0} == {
        "AffineSimple", "AffineComplex", "AffineComplexElastic", "AffineComplexElasticLight", "CenterCropOnly"
    }  # fmt: skip
    assert 0.3 < shares["AffineComplexElasticBlur"] < 0.7
    assert shares["AffineComplexElasticBlur"] < shares["AffineComplexElasticBlurSharp"] < 0.95
    assert shares["payer19"] == shares["thaler21"] == 1


def test_an_unknown_scheme_lists_those_there_are():
    with pytest.raises(ValueError, match=r"scheme must be one of AffineSimple, .*; got 'Affine'"):
        landmark_space("Affine")
    with pytest.raises(ValueError, match=r"scheme must be one of AffineSimple, .*; got 'Payer19'"):
        landmark_augmentation(SIZE, "Payer19")
