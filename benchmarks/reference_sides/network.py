"""The network that every side predicts with: as little arithmetic as a window can cost."""

from __future__ import annotations

import time

import torch
from torch import nn


class SmallNetwork(nn.Module):
    """Two convolutions, whose forward passes are timed.

    Args:
        as_float32: whether it takes input of another type.
    """

    def __init__(self, as_float32: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 1, 3, padding=1))
        self.as_float32 = as_float32
        self.seconds = 0.0
        self.windows = 0
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits B 1 D H W of windows B 1 D H W."""
        begun = time.perf_counter()
        result = self.layers((x.float() if self.as_float32 else x) / 64 - 2)
        self.seconds += time.perf_counter() - begun
        self.windows += len(x)
        return result
