"""Random loss of resolution, channel by channel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.config import KeysCollection
from torch.nn.functional import interpolate

from .drawing import OneDrawd, check_range
from .random_image import RandImage

_UP_MODES = {2: "bilinear", 3: "trilinear"}


def lower_resolution(image: torch.Tensor, factors: Sequence[float]) -> torch.Tensor:
    """Take the nearest voxels of a coarser grid, then interpolate linearly back.

    Args:
        image: C D H W or C H W, float.
        factors: length of the coarse grid as a share of the fine one, along each axis, above 0.

    Returns:
        the same shape.
    """
    size = tuple(image.shape[1:])
    coarse = [max(1, round(n * factor)) for n, factor in zip(size, factors, strict=True)]
    low = interpolate(image[None], coarse, mode="nearest-exact")  # C D H W -> 1 C d h w
    return interpolate(low, size, mode=_UP_MODES[len(size)])[0]


class RandLowResolution(RandImage):
    """Lower the resolution, of each channel by another factor, as nnU-Net does.

    MONAI's `RandSimulateLowResolution` treats all channels alike, and by default takes voxels that lie up to one voxel
    aside.

    Args:
        prob: probability of a loss.
        channel_prob: probability of each channel, then.
        factor: range from which the remaining resolution is drawn, above 0.
        axes: spatial axes along which resolution is lost; `None`: all. nnU-Net leaves z alone where a patch is more
            than three times as wide as it is deep.

    Raises:
        ValueError: when an argument is out of range.
    """

    def __init__(
        self,
        prob: float = 0.25,
        channel_prob: float = 0.5,
        factor: Sequence[float] = (0.5, 1.0),
        axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(prob, channel_prob)
        self.factor = check_range("factor", factor, 0, is_open=True)
        if axes is not None and (not axes or not set(axes) <= {0, 1, 2}):
            raise ValueError(f"axes must be spatial axes, of 0, 1 and 2; got {axes!r}")
        self.axes = axes

    def draw(self, spatial_dims: int) -> list[float]:
        """Factor of each axis."""
        factor = float(self.R.uniform(*self.factor))
        axes = range(spatial_dims) if self.axes is None else self.axes
        return [factor if axis in axes else 1.0 for axis in range(spatial_dims)]

    def change(self, channel: torch.Tensor, parameters: list[float]) -> torch.Tensor:
        return lower_resolution(channel[None], parameters)[0]


class RandLowResolutiond(OneDrawd):
    """Dictionary form of `RandLowResolution`.

    Args:
        keys: keys of the images.
        prob, channel_prob, factor, axes: see `RandLowResolution`.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.25,
        channel_prob: float = 0.5,
        factor: Sequence[float] = (0.5, 1.0),
        axes: Sequence[int] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, RandLowResolution(prob, channel_prob, factor, axes), allow_missing_keys)
