"""Layers by which a block weighs its channels, its voxels, or both."""

from __future__ import annotations

import torch
from monai.networks.blocks import ChannelSELayer
from monai.networks.layers import Conv
from torch import nn


class SpatialSELayer(nn.Module):
    """Weigh every voxel by a gate 0..1 that is computed from its channels.

    Source: "sSE" of Roy et al. 2018, https://arxiv.org/abs/1803.02579.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the features.
    """

    def __init__(self, spatial_dims: int, in_channels: int) -> None:
        super().__init__()
        self.gate = Conv[Conv.CONV, spatial_dims](in_channels, 1, kernel_size=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map B C D H W to B C D H W."""
        return x * torch.sigmoid(self.gate(x))  # the gate: B 1 D H W


class ChannelSpatialSELayer(nn.Module):
    """Sum of the features weighed by channel and the features weighed by voxel.

    Source: "scSE" of Roy et al. 2018, https://arxiv.org/abs/1803.02579; the channel part after Hu et al. 2018.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the features.
        ratio: channels per hidden channel of the channel part.
    """

    def __init__(self, spatial_dims: int, in_channels: int, ratio: int) -> None:
        super().__init__()
        self.channel = ChannelSELayer(spatial_dims, in_channels, r=ratio)
        self.spatial = SpatialSELayer(spatial_dims, in_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map B C D H W to B C D H W."""
        return self.channel(x) + self.spatial(x)


def squeeze_excitation_layer(form: bool | str, spatial_dims: int, in_channels: int, ratio: int) -> nn.Module:
    """Squeeze-and-excitation in one of its forms.

    Args:
        form: `"channel"`, `"spatial"`, `"both"`, or false for a layer that does nothing.
        spatial_dims: 2 or 3.
        in_channels: channels of the features.
        ratio: channels per hidden channel of the channel form.
    """
    if form == "channel":
        return ChannelSELayer(spatial_dims, in_channels, r=ratio)
    if form == "spatial":
        return SpatialSELayer(spatial_dims, in_channels)
    if form == "both":
        return ChannelSpatialSELayer(spatial_dims, in_channels, ratio)
    return nn.Identity()
