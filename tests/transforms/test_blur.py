"""Blur against SciPy's."""

import pytest
import torch
from scipy import ndimage, stats

from scripts.transforms import RandBlur, RandBlurd, gaussian_blur


@pytest.mark.parametrize("shape", [(13, 9, 11), (6, 14)])
@pytest.mark.parametrize("sigma", [0.5, 0.9, 1.0, 2.3])
def test_it_is_scipys_with_a_mirrored_border(shape, sigma):
    image = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    sigmas = [sigma, 0.6, 0.8][: len(shape)]
    found = gaussian_blur(image, sigmas)
    for channel, result in zip(image.double().numpy(), found, strict=True):
        expected = channel
        for axis, one in enumerate(sigmas):
            radius = -int(-3 * one // 1)
            expected = ndimage.gaussian_filter1d(expected, one, axis, mode="mirror", radius=radius)
        torch.testing.assert_close(result.double(), torch.from_numpy(expected), rtol=0, atol=1e-5)


def test_a_constant_stays_to_the_border_and_no_sigma_is_no_blur():
    image = torch.full((1, 5, 6, 7), 3.0)
    torch.testing.assert_close(gaussian_blur(image, (1, 1, 1)), image)
    rough = torch.randn(1, 5, 6)
    assert torch.equal(gaussian_blur(rough, (0, 0)), rough)


def test_sigmas_are_drawn_evenly_for_each_channel_and_axis():
    transform = RandBlur(1, 1, (0.4, 1.2)).set_random_state(0)
    drawn = []
    for _ in range(300):
        transform.randomize(torch.zeros(2, 4, 4, 4))
        drawn += [sigma for channel in transform.parameters for sigma in channel]
    assert len(set(drawn)) == 1800
    assert stats.kstest(drawn, stats.uniform(0.4, 0.8).cdf).pvalue > 1e-4


def test_the_draw_is_what_is_done_and_the_seed_repeats_it():
    image = torch.randn(3, 9, 9, 9)
    transform = RandBlurd("image", 1, 0.5)
    first, again = (transform.set_random_state(2)({"image": image})["image"].as_tensor() for _ in range(2))
    assert torch.equal(first, again)
    drawn = transform.transform.parameters
    assert {one is None for one in drawn} == {True, False}
    for channel, result, sigmas in zip(image, first, drawn, strict=True):
        torch.testing.assert_close(result, channel if sigmas is None else gaussian_blur(channel[None], sigmas)[0])


def test_defaults_are_those_of_nnunet():
    transform = RandBlurd("image").transform
    assert (transform.prob, transform.channel_prob, transform.sigma) == (0.2, 0.5, (0.5, 1.0))
    with pytest.raises(ValueError, match=r"sigma must hold two numbers of at least 0.*got \[1, 0.5\]"):
        RandBlurd("image", sigma=[1, 0.5])
