"""Random contrast, channel by channel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.config import KeysCollection

from .drawing import OneDrawd, check_range
from .random_image import RandImage


def stretch_contrast(image: torch.Tensor, factor: float) -> torch.Tensor:
    """Multiply the distance of each intensity from the mean, within the range that the image has.

    Args:
        image: any shape, float.
        factor: above 1 for more contrast.

    Returns:
        the same shape.
    """
    mean = torch.std_mean(image)[1]  # unlike torch.mean the same to the last bit for any number of threads
    low, high = torch.aminmax(image)
    return (image - mean).mul_(factor).add_(mean).clamp_(low, high)


class RandContrast(RandImage):
    """Stretch or reduce the contrast of each channel by another factor.

    MONAI's `RandScaleIntensityFixedMean` does the same, but its results depend on the number of threads, and with it on
    whether patches are loaded by workers.

    Args:
        prob: probability of a change.
        factor: range from which the factor is drawn evenly, above 0.

    Raises:
        ValueError: when an argument is out of range.
    """

    def __init__(self, prob: float = 0.15, factor: Sequence[float] = (0.75, 1.25)) -> None:
        super().__init__(prob)
        self.factor = check_range("factor", factor, 0, is_open=True)

    def draw(self, spatial_dims: int) -> float:
        """The factor."""
        return float(self.R.uniform(*self.factor))

    def change(self, channel: torch.Tensor, parameters: float) -> torch.Tensor:
        return stretch_contrast(channel, parameters)


class RandContrastd(OneDrawd):
    """Dictionary form of `RandContrast`.

    Args:
        keys: keys of the images.
        prob, factor: see `RandContrast`.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.15,
        factor: Sequence[float] = (0.75, 1.25),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, RandContrast(prob, factor), allow_missing_keys)
