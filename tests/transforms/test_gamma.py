"""Gamma curves by hand, and what MONAI makes of one channel."""

import numpy as np
import pytest
import torch
from monai.transforms import AdjustContrast
from scipy import stats

from scripts.transforms import RandGamma, RandGammad, gamma_curve


@pytest.mark.parametrize("invert", [False, True])
def test_the_curve_by_hand(invert):
    image = np.random.default_rng(0).normal(3, 2, (6, 7, 8))
    x = -image if invert else image
    bent = ((x - x.min()) / np.ptp(x)) ** 1.3
    bent = (bent - bent.mean()) / bent.std() * x.std() + x.mean()
    found = gamma_curve(torch.from_numpy(image), 1.3, invert)
    np.testing.assert_allclose(found, -bent if invert else bent, atol=1e-6)
    monai = AdjustContrast(1.3, invert_image=invert, retain_stats=True)(image[None])
    np.testing.assert_allclose(found, monai[0], atol=1e-5)


def test_a_constant_image_and_an_exponent_of_1_change_nothing():
    constant = torch.full((4, 4), 2.5)
    assert torch.equal(gamma_curve(constant, 0.7), constant)
    image = torch.randn(5, 6)
    torch.testing.assert_close(gamma_curve(image, 1.0), image)
    torch.testing.assert_close(gamma_curve(image, 1.0, invert=True), image)


def test_half_of_the_exponents_are_below_1():
    transform = RandGamma(1, (0.7, 1.5)).set_random_state(0)
    drawn = np.array([transform.draw(3) for _ in range(2000)])
    below = drawn[drawn < 1]
    assert stats.binomtest(len(below), 2000, 0.5).pvalue > 1e-4
    assert stats.kstest(below, stats.uniform(0.7, 0.3).cdf).pvalue > 1e-4
    assert stats.kstest(drawn[drawn >= 1], stats.uniform(1, 0.5).cdf).pvalue > 1e-4


@pytest.mark.parametrize("gamma", [(1.2, 2.0), (0.4, 0.9)])
def test_a_range_on_one_side_is_drawn_from_evenly(gamma):
    transform = RandGamma(1, gamma).set_random_state(0)
    drawn = [transform.draw(3) for _ in range(1000)]
    assert stats.kstest(drawn, stats.uniform(gamma[0], gamma[1] - gamma[0]).cdf).pvalue > 1e-4


@pytest.mark.parametrize("invert", [False, True])
def test_each_channel_is_bent_by_its_own_extremes(invert):
    image = torch.stack([torch.randn(6, 6), 100 + 10 * torch.randn(6, 6)])
    transform = RandGammad("image", 1, invert=invert).set_random_state(3)
    out = transform({"image": image})["image"].as_tensor()
    exponents = transform.transform.parameters
    assert exponents[0] != exponents[1]
    for channel, result, gamma in zip(image, out, exponents, strict=True):
        torch.testing.assert_close(result, gamma_curve(channel, gamma, invert))
    again = transform.set_random_state(3)({"image": image})["image"].as_tensor()
    assert torch.equal(out, again)


def test_a_range_down_to_0():
    with pytest.raises(ValueError, match=r"gamma must hold two numbers above 0.*got \(0, 1\)"):
        RandGammad("image", gamma=(0, 1))
