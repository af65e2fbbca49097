"""What a window passes before the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform

from ..volumes import Volume

WindowTransform = Callable[[torch.Tensor], torch.Tensor]


class WindowError(ValueError):
    """A transform refuses a window.

    Args:
        index: of the window among those that were given together.
        reason: what the transform said.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index


def is_bindable(transform: WindowTransform | None) -> bool:
    """Whether a transform wants to know the whole image of which it is given windows."""
    return hasattr(transform, "bind")


def bound(transform: WindowTransform | None, image: Volume | torch.Tensor) -> WindowTransform | None:
    """The transform for windows of one image.

    Args:
        transform: where it has a method `bind`, that is given the image.
        image: a volume, or a tensor C D H W.
    """
    return transform.bind(image) if is_bindable(transform) else transform  # type: ignore[union-attr]


def transformed(windows: torch.Tensor, transform: WindowTransform | None) -> torch.Tensor:
    """Apply a transform to each of the windows B C D H W.

    Raises:
        WindowError: for the first window that the transform refuses.
    """
    if transform is None:
        return windows
    done = []  # B C D H W -> [C D H W]
    for index, window in enumerate(windows):
        try:
            # MONAI's transforms may work in place, and a window may be a view of the whole input
            done.append(torch.as_tensor(transform(window.clone())))
        except ValueError as error:
            raise WindowError(index, str(error)) from error
    return torch.stack(done).to(windows)


def describe(transform: WindowTransform | None) -> str | None:
    """A transform's class and settings, and those of transforms within it, the same in every process."""
    return None if transform is None else str(_settings(transform))


def _settings(value: Any) -> Any:
    if value is None or isinstance(value, (int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_settings(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _settings(item) for key, item in sorted(value.items(), key=lambda pair: str(pair[0]))}
    if isinstance(value, (np.ndarray, np.generic, torch.Tensor)):
        return np.asarray(value).tolist()
    if isinstance(value, Transform) or hasattr(value, "bind"):
        inner = {key: item for key, item in vars(value).items() if not isinstance(item, np.random.RandomState)}
        return [type(value).__name__, _settings(inner)]
    return getattr(value, "__qualname__", type(value).__name__)
