"""Patches of training whose truth lies on a grid of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import SimpleInferer

from ..geometry.target_grid import TargetGrid


class TargetGridInferer(SimpleInferer):
    """MONAI's `SimpleInferer`, whose outputs are brought onto the targets' grid.

    Nothing is learnt there: at inference the same network predicts on the grid of its input.

    Args:
        grid: both grids; `None`: the outputs stay as they are.
    """

    def __init__(self, grid: TargetGrid | None = None) -> None:
        super().__init__()
        self.grid = grid

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """
        Args:
            inputs: B C D H W.
            network: dictionary target -> B K D H W.
            args, kwargs: handed on to the network.

        Returns:
            what the network returns, each output on the targets' grid.

        Raises:
            ValueError: for outputs that are not on the input's grid.
        """
        outputs: Any = super().__call__(inputs, network, *args, **kwargs)
        return outputs if self.grid is None else self.grid.outputs(outputs)
