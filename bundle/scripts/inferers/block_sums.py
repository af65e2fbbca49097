"""Weighted sums of the windows of one block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .windows import Box, Triplet


class BlockSums:
    """Adds windows up on a device: per voxel the weighted outputs and, as last channel, the weights.

    Args:
        box: start and size of what the block's windows cover.
        channels: K of the outputs.
        device: where the sums are kept.
    """

    def __init__(self, box: Box, channels: int, device: torch.device | str) -> None:
        self.start, self.size = box
        self._sums = torch.zeros((channels + 1, *self.size), dtype=torch.float32, device=device)

    def add(self, window: Triplet, output: torch.Tensor, weight: torch.Tensor) -> None:
        """Add one window; what reaches beyond the box does not count.

        Args:
            window: first voxel z, y, x.
            output: K D H W float32.
            weight: D H W float32.
        """
        low = [max(w, s) for w, s in zip(window, self.start, strict=True)]
        high = [min(w + r, s + n) for w, r, s, n in zip(window, weight.shape, self.start, self.size, strict=True)]
        here = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, self.start, strict=True))
        there = tuple(slice(a - w, b - w) for a, b, w in zip(low, high, window, strict=True))
        self._sums[:-1][:, *here].addcmul_(output[:, *there], weight[there])
        self._sums[-1][here].add_(weight[there])

    @property
    def device(self) -> torch.device:
        return self._sums.device

    def numpy(self) -> np.ndarray:
        """K + 1 D H W float32."""
        return self._sums.cpu().numpy()


def part_of(sums: np.ndarray, start: Sequence[int], box: Box) -> np.ndarray:
    """Sums K + 1 D H W within a box, as a view.

    Args:
        sums: K + 1 D H W.
        start: position of their first voxel.
        box: start and size.
    """
    return sums[:, *(slice(low - s, low - s + n) for low, n, s in zip(*box, start, strict=True))]
