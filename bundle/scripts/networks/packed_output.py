"""A multi-target network for tools that expect one tensor."""

from __future__ import annotations

import torch
from torch import nn


class PackedOutput(nn.Module):
    """Concatenate the outputs of a network along the channel axis, in the order of its targets.

    For tools such as `verify_net_in_out` and model export. In training with deep supervision, the full resolution alone
    is returned.

    Args:
        network: returns `dict[str, Tensor]`, as `MultiTaskUNet` does.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map an image B C D H W to B sum(C) D H W."""
        outputs = self.network(x).values()
        return torch.cat([output[0] if isinstance(output, list) else output for output in outputs], dim=1)
