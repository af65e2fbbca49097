"""A base network whose output describes each voxel, and the projection that training compares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.networks.layers import Conv
from torch import nn

EMBEDDING, PROJECTION = "embedding", "projection"
"""Outputs: the description of each voxel, and what contrastive training compares."""


class EmbeddingNetwork(nn.Module):
    """A base with a target `embedding`, and a projection of it: 1x1 convolution, ReLU, 1x1 convolution.

    The projection is for training alone (Chen et al. 2020): the weights of `base` by themselves make embeddings, and
    start other trainings.

    Args:
        base: a network with one output per target, such as `MultiTaskUNet`, of which one is `embedding`.
        projection_channels: channels of the projection.

    Raises:
        ValueError: when the base has no such target, or supervises it at several levels.
    """

    def __init__(self, base: nn.Module, projection_channels: int) -> None:
        super().__init__()
        channels = embedding_channels(base)
        self.base = base
        self.targets = base.targets
        self.plan = getattr(base, "plan", None)
        conv = Conv[Conv.CONV, spatial_dims_of(base)]
        self.projection = nn.Sequential(
            conv(channels, channels, kernel_size=1),
            nn.ReLU(inplace=True),
            conv(channels, projection_channels, kernel_size=1),
        )

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        """Describe every voxel.

        Args:
            x: image, B C D H W (2D: B C H W).

        Returns:
            the base's outputs, `embedding` B h D H W among them, and `projection` B p D H W.
        """
        outputs = self.base(x)
        return {**outputs, PROJECTION: self.projection(outputs[EMBEDDING])}


def embedding_channels(base: nn.Module) -> int:
    """Channels of a base's embedding.

    Raises:
        ValueError: when the base has no target `embedding`, or supervises it at several levels.
    """
    targets: Mapping[str, Any] = getattr(base, "targets", {})
    if EMBEDDING not in targets:
        raise ValueError(
            f"{type(base).__name__} has the targets {', '.join(targets) or 'none'}; a base needs one "
            f'such as {{"{EMBEDDING}": {{"channels": 12, "kind": "scalar"}}}}'
        )
    heads = getattr(base, "heads", {})
    if EMBEDDING in heads and getattr(heads[EMBEDDING], "deep_supervision", False):
        raise ValueError(f"'{EMBEDDING}' is made at several levels; a base needs deep_supervision: false")
    return targets[EMBEDDING].channels


def spatial_dims_of(base: nn.Module) -> int:
    """Spatial axes of a network's images."""
    plan = getattr(base, "plan", None)
    return int(base.spatial_dims if plan is None else plan.spatial_dims)  # type: ignore[arg-type]
