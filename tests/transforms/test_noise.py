"""Noise: its distribution, its seed, its device."""

import numpy as np
import pytest
import torch
from scipy import stats

from scripts.transforms import RandNoise, RandNoised


def test_noise_is_gaussian_with_the_drawn_deviation():
    transform = RandNoise(1, (0.3, 0.3)).set_random_state(0)
    noise = transform(torch.full((1, 20, 20, 20), 5.0))[0].numpy() - 5
    assert stats.kstest(noise.ravel(), stats.norm(0, 0.3).cdf).pvalue > 1e-4
    neighbours = np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]
    assert abs(neighbours) < 0.05


def test_deviations_are_drawn_evenly():
    transform = RandNoise(1, (0.02, 0.1)).set_random_state(0)
    found = [float(transform(torch.zeros(1, 30, 30)).std()) for _ in range(400)]
    assert stats.kstest(found, stats.uniform(0.02, 0.08).cdf).pvalue > 1e-3


def test_channels_differ_and_the_seed_repeats_them():
    transform = RandNoised(["a", "b"], 1)
    given = {"a": torch.zeros(2, 8, 8, 8), "b": torch.zeros(2, 8, 8, 8)}
    first, again = (transform.set_random_state(5)(given) for _ in range(2))
    assert torch.equal(first["a"], again["a"])
    assert torch.equal(first["a"], first["b"])
    assert not torch.equal(first["a"][0], first["a"][1])
    other = transform.set_random_state(6)(given)
    assert not torch.equal(first["a"], other["a"])


def test_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    RandNoise(1)(torch.zeros(1, 4, 4))
    assert torch.equal(torch.rand(1), expected)


def test_a_range_below_0():
    with pytest.raises(ValueError, match=r"std must hold two numbers of at least 0.*got \(-1, 1\)"):
        RandNoised("image", std=(-1, 1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_noise_is_drawn_on_the_gpu():
    transform = RandNoise(1, (0.3, 0.3)).set_random_state(0)
    out = transform(torch.zeros(1, 30, 30, 30, device="cuda"))
    assert out.device.type == "cuda"
    assert abs(float(out.std()) - 0.3) < 0.01
