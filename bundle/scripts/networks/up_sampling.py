"""From one level of a decoder to the next finer one."""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.blocks import UpSample
from monai.networks.layers import Conv
from torch import nn


def up_sampling_layer(
    mode: str, spatial_dims: int, in_channels: int, out_channels: int, stride: Sequence[int], bias: bool = True
) -> nn.Module:
    """Layer that maps B C D H W to B C' D' H' W' with D' = D x stride.

    Args:
        mode: `"transposed"`: a transposed convolution whose kernel is the stride, so that no voxel counts twice;
            `"nearest"` or `"linear"`: a 1x1 convolution to the new number of channels, then interpolation (voxel
            centres kept). The order does not change the values, and the convolution is cheaper on the coarse grid.
        spatial_dims: 2 or 3.
        in_channels: channels of the coarse level.
        out_channels: channels of the fine level.
        stride: up-sampling along each axis.
        bias: whether the convolution has a bias.
    """
    if mode == "transposed":
        return Conv[Conv.CONVTRANS, spatial_dims](in_channels, out_channels, tuple(stride), tuple(stride), bias=bias)
    return UpSample(
        spatial_dims,
        in_channels,
        out_channels,
        scale_factor=tuple(stride),
        mode="nontrainable",
        pre_conv=Conv[Conv.CONV, spatial_dims](in_channels, out_channels, kernel_size=1, bias=bias),
        interp_mode=mode,
        align_corners=False if mode == "linear" else None,
    )
