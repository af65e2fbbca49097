"""What a window passes before the network."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..volumes import Volume

WindowTransform = Callable[[torch.Tensor], torch.Tensor]


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
    """Apply a transform to each of the windows B C D H W."""
    if transform is None:
        return windows
    # MONAI's transforms may work in place, and a window may be a view of the whole input
    done = [torch.as_tensor(transform(window.clone())) for window in windows]  # B C D H W -> [C D H W]
    return torch.stack(done).to(windows)


def describe(transform: WindowTransform | None) -> str | None:
    """A transform's class and settings, the same in every process."""
    if transform is None:
        return None
    plain = (int, float, str, bool, dict, list)
    settings = {key: value for key, value in sorted(vars(transform).items()) if isinstance(value, plain)}
    return f"{type(transform).__name__}{settings}"
