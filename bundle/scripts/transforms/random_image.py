"""What random changes of intensity share: which channels are changed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from monai.config import NdarrayOrTensor
from monai.data import get_track_meta
from monai.transforms import RandomizableTransform
from monai.utils import convert_to_tensor

from .drawing import check_probability
from .meta import with_values


class RandImage(RandomizableTransform, ABC):
    """Base of the array forms: an image is changed with `prob`, and then each of its channels with `channel_prob`.

    Works on the image's device. The input is not changed.

    Args:
        prob: probability that anything is done.
        channel_prob: probability of each channel, when something is done.
    """

    def __init__(self, prob: float, channel_prob: float = 1.0) -> None:
        super().__init__(check_probability("prob", prob))
        self.channel_prob = check_probability("channel_prob", channel_prob)
        self.parameters: list[Any] = []

    @abstractmethod
    def draw(self, spatial_dims: int) -> Any:
        """Parameters of one channel, from `self.R`."""

    @abstractmethod
    def change(self, channel: torch.Tensor, parameters: Any) -> torch.Tensor:
        """One channel, D H W or H W float32, changed; a new tensor."""

    def randomize(self, data: torch.Tensor) -> None:
        """Draw for an image C D H W; `parameters` has one entry per channel, `None` where it stays as it is."""
        super().randomize(None)
        self.parameters = []
        if self._do_transform:
            changes = self.R.random(len(data)) < self.channel_prob
            drawn = [self.draw(data.ndim - 1) for _ in changes]
            self.parameters = [one if does else None for one, does in zip(drawn, changes, strict=True)]

    def __call__(self, image: NdarrayOrTensor, randomize: bool = True) -> torch.Tensor:
        """
        Args:
            image: C D H W or C H W.
            randomize: whether to draw anew.

        Returns:
            the image as it is where nothing was drawn, else float32.

        Raises:
            ValueError: when the draw was made for another number of channels.
        """
        tensor = torch.as_tensor(convert_to_tensor(image, track_meta=get_track_meta()))
        if randomize:
            self.randomize(tensor)
        if not any(one is not None for one in self.parameters):
            return tensor
        if len(self.parameters) != len(tensor):
            raise ValueError(
                f"keys that are changed alike must have the same number of channels; got {len(self.parameters)} and "
                f"{len(tensor)}"
            )
        values = torch.as_tensor(convert_to_tensor(tensor, track_meta=False)).float()
        changed = [
            channel if one is None else self.change(channel, one)
            for channel, one in zip(values, self.parameters, strict=True)
        ]
        return with_values(tensor, torch.stack(changed))
