"""Random Gaussian noise, drawn where the image is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.config import KeysCollection

from .drawing import OneDrawd, check_range
from .random_image import RandImage


class RandNoise(RandImage):
    """Add Gaussian noise, with another standard deviation for each channel.

    MONAI's `RandGaussianNoise` draws in NumPy, in float64 on the CPU, which takes three times as long.

    Args:
        prob: probability of noise.
        std: range from which the standard deviation is drawn.

    Raises:
        ValueError: when an argument is out of range.
    """

    def __init__(self, prob: float = 0.1, std: Sequence[float] = (0.0, 0.1)) -> None:
        super().__init__(prob)
        self.std = check_range("std", std, 0)

    def draw(self, spatial_dims: int) -> tuple[float, int]:
        """Standard deviation, and the seed of the noise."""
        return float(self.R.uniform(*self.std)), int(self.R.randint(2**31))

    def change(self, channel: torch.Tensor, parameters: tuple[float, int]) -> torch.Tensor:
        std, seed = parameters
        generator = torch.Generator(channel.device).manual_seed(seed)
        noise = torch.randn(channel.shape, generator=generator, device=channel.device)
        return noise.mul_(std).add_(channel)


class RandNoised(OneDrawd):
    """Dictionary form of `RandNoise`; the same noise for all keys.

    Args:
        keys: keys of the images.
        prob, std: see `RandNoise`.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.1,
        std: Sequence[float] = (0.0, 0.1),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, RandNoise(prob, std), allow_missing_keys)
