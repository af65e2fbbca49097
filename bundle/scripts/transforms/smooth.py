"""Soft labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from monai.config import KeysCollection
from numpy.typing import NDArray

from ..geometry.fields import smooth
from .labels import Label, LabelTransform, LabelTransformd, check_length


class SmoothLabel(LabelTransform):
    """Gaussian smoothing of the foreground into a soft label: 1 deep inside, 0 far outside, 0.5 on a flat boundary.

    Args:
        sigma: standard deviation, physical length.
        spacing: nominal spacing; `None` takes it from the MetaTensor.

    Raises:
        ValueError: when `sigma` is no length above zero.
    """

    def __init__(self, sigma: float, *, spacing: Sequence[float] | None = None) -> None:
        super().__init__(spacing)
        self.sigma = check_length("sigma", sigma)

    def derive(self, label: Label) -> NDArray[np.float32]:
        """Soft label 1 D H W (or 1 H W), float32 in [0, 1]; NaN where the label is unknown."""
        return smooth(label.ids > 0, label.spacing, self.sigma).clip(0, 1)[None]  # D H W -> 1 D H W


class SmoothLabeld(LabelTransformd):
    """Dictionary form of `SmoothLabel`.

    Args:
        keys: keys of the labels.
        output_keys: where the soft labels go, one per key; `None`: in place.
        sigma, spacing: see `SmoothLabel`.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_keys: KeysCollection | None = None,
        *,
        sigma: float,
        spacing: Sequence[float] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, output_keys, SmoothLabel(sigma, spacing=spacing), allow_missing_keys)
