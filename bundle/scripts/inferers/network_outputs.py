"""What a network must return for its targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..geometry import Target


def check_outputs(outputs: Any, targets: Mapping[str, Target], window_shape: Sequence[int]) -> None:
    """Check a network's outputs.

    Args:
        outputs: of the network.
        targets: that the outputs must hold, each B K D H W.
        window_shape: of the windows that the network was given, B C D H W.

    Raises:
        ValueError: where a target is missing or has another shape.
    """
    if not isinstance(outputs, Mapping):
        raise ValueError(f"the network must return a dictionary target -> tensor; got {type(outputs).__name__}")
    for name, target in targets.items():
        if name not in outputs:
            raise ValueError(f"the network has no output '{name}'; its outputs: {', '.join(outputs)}")
        if not isinstance(outputs[name], torch.Tensor):
            raise ValueError(
                f"output '{name}' is no tensor, but a {type(outputs[name]).__name__}; deep supervision returns lists "
                "in training, so call network.eval() first"
            )
        wanted = (window_shape[0], target.channels, *window_shape[2:])
        if tuple(outputs[name].shape) != wanted:
            raise ValueError(f"output '{name}' has shape {tuple(outputs[name].shape)}, expected {wanted} (B C D H W)")
