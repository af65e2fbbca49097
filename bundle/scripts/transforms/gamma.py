"""Random gamma curves, channel by channel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.config import KeysCollection

from .drawing import OneDrawd, check_range
from .random_image import RandImage

_SMALLEST = 1e-7


def gamma_curve(image: torch.Tensor, gamma: float, invert: bool = False) -> torch.Tensor:
    """Bend the intensities between minimum and maximum, then restore mean and standard deviation.

    y = ((x - minimum) / range)^gamma, shifted and scaled so that mean and standard deviation are those of x; with
    `invert` the same is done to -x, and undone.

    Args:
        image: any shape, float.
        gamma: exponent; above 1 dark parts lose contrast, with `invert` bright ones.
        invert: see above.

    Returns:
        the same shape; a constant image stays as it is.
    """
    values = -image if invert else image
    std, mean = torch.std_mean(values)
    low, high = torch.aminmax(values)
    bent = ((values - low) / (high - low).clamp(min=_SMALLEST)).pow_(gamma)
    bent_std, bent_mean = torch.std_mean(bent)
    restored = bent.sub_(bent_mean).mul_(std / bent_std.clamp(min=_SMALLEST)).add_(mean)
    return restored.neg_() if invert else restored


class RandGamma(RandImage):
    """Bend the intensities of each channel by another gamma.

    MONAI's `RandAdjustContrast(retain_stats=True)` bends all channels between their common extremes and draws evenly;
    here, as in nnU-Net, half of the exponents are below 1.

    Args:
        prob: probability of a gamma curve.
        gamma: range of exponents, above 0: half are drawn evenly from the part below 1, half from the part above.
        invert: whether inverted images are bent.

    Raises:
        ValueError: when an argument is out of range.
    """

    def __init__(self, prob: float = 0.3, gamma: Sequence[float] = (0.7, 1.5), invert: bool = False) -> None:
        super().__init__(prob)
        self.gamma = check_range("gamma", gamma, 0, is_open=True)
        self.invert = invert

    def draw(self, spatial_dims: int) -> float:
        """The exponent."""
        low, high = self.gamma
        is_below, place = self.R.random(2)
        below = high <= 1 or (low < 1 and is_below < 0.5)
        first, last = (low, min(high, 1)) if below else (max(low, 1), high)
        return float(first + place * (last - first))

    def change(self, channel: torch.Tensor, parameters: float) -> torch.Tensor:
        return gamma_curve(channel, parameters, self.invert)


class RandGammad(OneDrawd):
    """Dictionary form of `RandGamma`.

    Args:
        keys: keys of the images.
        prob, gamma, invert: see `RandGamma`.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.3,
        gamma: Sequence[float] = (0.7, 1.5),
        invert: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, RandGamma(prob, gamma, invert), allow_missing_keys)
