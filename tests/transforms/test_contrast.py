"""Contrast by hand, and what MONAI makes of one channel; the same for any number of threads."""

import numpy as np
import pytest
import torch
from monai.transforms import ScaleIntensityFixedMean
from scipy import stats

from scripts.transforms import RandContrast, RandContrastd, stretch_contrast


@pytest.mark.parametrize("factor", [0.75, 1.25, 3.0])
def test_it_is_a_stretch_about_the_mean_within_the_range(factor):
    image = np.random.default_rng(0).normal(3, 2, (5, 6, 7)).astype(np.float32)
    expected = np.clip((image - image.mean()) * factor + image.mean(), image.min(), image.max())
    found = stretch_contrast(torch.from_numpy(image), factor)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    monai = ScaleIntensityFixedMean(factor - 1, preserve_range=True)(image[None])
    np.testing.assert_allclose(found, monai[0], atol=1e-5)


def test_factors_are_drawn_evenly_one_per_channel():
    transform = RandContrast(1, (0.8, 1.1)).set_random_state(0)
    drawn = []
    for _ in range(300):
        transform.randomize(torch.zeros(2, 4, 4))
        drawn += transform.parameters
    assert len(set(drawn)) == 600
    assert stats.kstest(drawn, stats.uniform(0.8, 0.3).cdf).pvalue > 1e-4


def test_the_draw_is_what_is_done_and_the_seed_repeats_it():
    image = torch.randn(2, 6, 6, 6)
    transform = RandContrastd("image", 1)
    first, again = (transform.set_random_state(2)({"image": image})["image"].as_tensor() for _ in range(2))
    assert torch.equal(first, again)
    for channel, result, factor in zip(image, first, transform.transform.parameters, strict=True):
        assert torch.equal(result, stretch_contrast(channel, factor))


def test_a_range_down_to_0():
    with pytest.raises(ValueError, match=r"factor must hold two numbers above 0.*got \(0, 1\)"):
        RandContrastd("image", factor=(0, 1))
