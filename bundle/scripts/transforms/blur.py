"""Random Gaussian blur, channel by channel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from monai.config import KeysCollection

from ..geometry.separable import apply_along_axes, mirrored
from .drawing import OneDrawd, check_range
from .random_image import RandImage

_TRUNCATE = 3  # standard deviations


def gaussian_blur(image: torch.Tensor, sigmas: Sequence[float]) -> torch.Tensor:
    """Convolve with a sampled Gaussian that is cut at three standard deviations; the image is mirrored at its border.

    MONAI's `GaussianSmooth` continues the image with zeros, which darkens (or brightens) the border of every patch.

    Args:
        image: C D H W or C H W, float.
        sigmas: standard deviation along each axis, voxels; 0: none.

    Returns:
        the same shape.
    """
    sizes = image.shape[1:]
    kernels = [_blur_matrix(n, sigma).to(image) if sigma > 0 else None for n, sigma in zip(sizes, sigmas, strict=True)]
    return apply_along_axes(image, kernels)


class RandBlur(RandImage):
    """Blur by a Gaussian, each channel and each axis by another one, as nnU-Net does.

    Args:
        prob: probability of a blur.
        channel_prob: probability of each channel, then.
        sigma: range from which the standard deviation is drawn, voxels.

    Raises:
        ValueError: when an argument is out of range.
    """

    def __init__(self, prob: float = 0.2, channel_prob: float = 0.5, sigma: Sequence[float] = (0.5, 1.0)) -> None:
        super().__init__(prob, channel_prob)
        self.sigma = check_range("sigma", sigma, 0)

    def draw(self, spatial_dims: int) -> list[float]:
        """Standard deviation along each axis."""
        return [float(sigma) for sigma in self.R.uniform(*self.sigma, spatial_dims)]

    def change(self, channel: torch.Tensor, parameters: list[float]) -> torch.Tensor:
        return gaussian_blur(channel[None], parameters)[0]


class RandBlurd(OneDrawd):
    """Dictionary form of `RandBlur`.

    Args:
        keys: keys of the images.
        prob, channel_prob, sigma: see `RandBlur`.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.2,
        channel_prob: float = 0.5,
        sigma: Sequence[float] = (0.5, 1.0),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, RandBlur(prob, channel_prob, sigma), allow_missing_keys)


def _blur_matrix(n: int, sigma: float) -> torch.Tensor:
    """Convolution with a Gaussian along an axis of n voxels, mirrored at the centres of the first and last; n x n."""
    radius = math.ceil(_TRUNCATE * sigma)
    taps = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (taps / sigma) ** 2)
    weights /= weights.sum()
    source = mirrored(torch.arange(n)[:, None] + torch.arange(-radius, radius + 1), n)
    return torch.zeros(n, n, dtype=torch.float64).scatter_add_(1, source, weights.expand(n, -1))
