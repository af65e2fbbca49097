"""The pieces of the residual U-Net, put together from MONAI's blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import ChannelSELayer, Convolution
from monai.networks.layers import Conv, Pool
from torch import nn

NEGATIVE_SLOPE = 0.01
_NORM = ("instance", {"eps": 1e-5, "affine": True})
_ACT = ("leakyrelu", {"negative_slope": NEGATIVE_SLOPE, "inplace": True})


def conv_block(
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    kernel_size: Sequence[int],
    *,
    stride: Sequence[int] | int = 1,
    activate: bool = True,
    bias: bool = True,
) -> Convolution:
    """Convolution, instance norm and (unless `activate` is false) leaky ReLU."""
    return Convolution(
        spatial_dims,
        in_channels,
        out_channels,
        strides=stride,
        kernel_size=kernel_size,
        adn_ordering="NA",
        norm=_NORM,
        act=_ACT if activate else None,
        bias=bias,
    )


def initialise(module: nn.Module) -> None:
    """Kaiming normal weights and zero biases for convolutions; for `network.apply`.

    Source: nnU-Net v2. The last norm of each residual block starts at zero, so that a block starts as its skip.
    """
    if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        nn.init.kaiming_normal_(module.weight, a=NEGATIVE_SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, ResidualBlock):
        for parameter in module.conv2.get_submodule("adn.N").parameters():
            nn.init.zeros_(parameter)


class ResidualBlock(nn.Module):
    """Two convolutions beside a skip.

    ::

        --+-- conv, norm, act -- conv, norm -- (SE) --+-- act --
          |                                           |
          +-- average pool -- 1x1 conv, norm ---------+

    The pool is there when the block strides, the 1x1 convolution (without bias) when it changes the channels.

    Source: nnU-Net v2's residual encoder; squeeze-and-excitation on the residual branch as in Hu et al. 2018.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: kernel of both convolutions, along each axis.
        stride: down-sampling by the block, along each axis.
        se_ratio: channels per hidden channel of the squeeze-and-excitation; `None` leaves it out.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        stride: Sequence[int],
        se_ratio: int | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = conv_block(spatial_dims, in_channels, out_channels, kernel_size, stride=stride)
        self.conv2 = conv_block(spatial_dims, out_channels, out_channels, kernel_size, activate=False)
        self.excite = nn.Identity() if se_ratio is None else ChannelSELayer(spatial_dims, out_channels, r=se_ratio)
        self.skip = nn.Sequential()
        if any(s != 1 for s in stride):
            self.skip.append(Pool[Pool.AVG, spatial_dims](tuple(stride), tuple(stride)))
        if in_channels != out_channels:
            one = (1,) * spatial_dims
            self.skip.append(conv_block(spatial_dims, in_channels, out_channels, one, activate=False, bias=False))
        self.act = nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map B C D H W to B C' D' H' W' with D' = D / stride."""
        residual = self.excite(self.conv2(self.conv1(x)))
        return self.act(residual + self.skip(x))


class UpBlock(nn.Module):
    """Up-sample by a transposed convolution, join the encoder's features, convolve.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the lower level.
        out_channels: channels of the encoder's features, and of the output.
        kernel_size: kernel of the convolutions, along each axis.
        stride: up-sampling, along each axis; also the transposed convolution's kernel, so that no voxel counts twice.
        n_conv: number of convolution blocks.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        stride: Sequence[int],
        n_conv: int,
    ) -> None:
        super().__init__()
        self.up = Conv[Conv.CONVTRANS, spatial_dims](in_channels, out_channels, tuple(stride), tuple(stride))
        self.convs = nn.Sequential(
            *(
                conv_block(spatial_dims, out_channels * (2 if i == 0 else 1), out_channels, kernel_size)
                for i in range(n_conv)
            )
        )

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Map B C D H W and the encoder's B C' D' H' W' to B C' D' H' W'."""
        return self.convs(torch.cat([self.up(x), skip], dim=1))
