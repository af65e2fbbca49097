"""A network that sees every voxel, but whose output is coarser: cheap heatmaps of many landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ..landmarks import resize_heatmaps
from .block_options import check_choice

INTERPOLATIONS = ("cubic", "nearest")


class CoarseOutput(nn.Module):
    """Fold blocks of voxels into channels before a network, which then works on a coarser grid.

    In training the outputs are those of the coarser grid, for losses that know it (`output_stride` of
    `scripts.losses.MultiTaskLoss`). In evaluation they come at the input's voxels. With `stride` 2 in 3D memory and
    time are an eighth of a network's at full resolution, and the places of heatmaps' maxima are found between voxels
    anyway.

    Args:
        network: with one output per target; its `in_channels` is that of the image times the voxels of a block.
        stride: edges of a block along each axis.
        interpolation: how outputs get to the input's voxels: `"cubic"`, along each axis; or `"nearest"`, which keeps
            the mean place of a heatmap's softmax, by which networks with the loss `soft_argmax` are read.

    Attributes:
        targets: of the network.
        plan: that of the network, for the image: its first down-sampling folds, too. Only where the network has one.

    Raises:
        ValueError: for a stride that is not positive, and an unknown interpolation.
    """

    def __init__(self, network: nn.Module, stride: Sequence[int], interpolation: str = "cubic") -> None:
        super().__init__()
        check_choice("interpolation", interpolation, INTERPOLATIONS)
        self.interpolation = interpolation
        self.stride = [int(n) for n in stride]
        if min(self.stride) < 1:
            raise ValueError(f"stride must be whole numbers of at least 1, one per axis; got {list(stride)}")
        self.network = network
        self.targets = network.targets
        plan = getattr(network, "plan", None)
        if plan is not None:
            first, second, *rest = plan.strides
            self.plan = replace(
                plan,
                patch_size=tuple(n * step for n, step in zip(plan.patch_size, self.stride, strict=True)),
                strides=(first, tuple(n * step for n, step in zip(second, self.stride, strict=True)), *rest),
            )

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        """Predict every target.

        Args:
            x: image, B C D H W (2D: B C H W).

        Returns:
            the network's outputs; in evaluation at the image's resolution.

        Raises:
            ValueError: for an image that blocks do not fill.
        """
        outputs = self.network(fold_blocks(x, self.stride))
        if self.training or max(self.stride) == 1:
            return outputs
        return {name: self._enlarged(output, x.shape[2:]) for name, output in outputs.items()}

    def _enlarged(self, output: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        if self.interpolation == "nearest":
            return F.interpolate(output, size=tuple(shape), mode="nearest-exact")
        return resize_heatmaps(output, shape)

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those of the network."""
        return self.network.shared_parameters()  # type: ignore[operator]


def coarse_size(patch_size: Sequence[int], stride: int) -> dict[str, list[int]]:
    """Size of what a network gets behind blocks, and their edges.

    Args:
        patch_size: voxels along each axis; an axis of one voxel is not folded.
        stride: edge of a block.

    Returns:
        `size` and `stride`, a number per axis each.

    Raises:
        ValueError: for a patch that blocks do not fill.
    """
    steps = [1 if n == 1 else int(stride) for n in patch_size]
    if any(step < 1 or n % step for n, step in zip(patch_size, steps, strict=True)):
        raise ValueError(f"output_stride = {stride} must divide the edges of a patch of {list(patch_size)} voxels")
    return {"size": [n // step for n, step in zip(patch_size, steps, strict=True)], "stride": steps}


def fold_blocks(x: torch.Tensor, stride: Sequence[int]) -> torch.Tensor:
    """Make channels of the voxels of each block, B C D H W -> B (C sD sH sW) D/sD H/sH W/sW.

    Raises:
        ValueError: for an image that blocks do not fill.
    """
    shape = x.shape[2:]
    if len(shape) != len(stride) or any(n % step for n, step in zip(shape, stride, strict=True)):
        raise ValueError(f"an image of {list(shape)} voxels is not filled by blocks of {list(stride)}")
    dims = len(shape)
    split = [n for length, step in zip(shape, stride, strict=True) for n in (length // step, step)]
    blocks = x.reshape(*x.shape[:2], *split)  # B C d sD h sH w sW
    inner, outer = [3 + 2 * axis for axis in range(dims)], [2 + 2 * axis for axis in range(dims)]
    return blocks.permute(0, 1, *inner, *outer).flatten(1, 1 + dims)
