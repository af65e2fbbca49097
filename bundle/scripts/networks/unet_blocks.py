"""The pieces of the residual U-Net, put together from MONAI's blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import Convolution
from monai.networks.layers import DropPath, Pool, get_act_layer
from torch import nn

from .block_options import BlockOptions
from .squeeze_excitation import squeeze_excitation_layer
from .up_sampling import up_sampling_layer

DEFAULTS = BlockOptions()


def conv_block(
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    kernel_size: Sequence[int],
    options: BlockOptions = DEFAULTS,
    *,
    stride: Sequence[int] | int = 1,
    activate: bool = True,
    bias: bool = True,
) -> Convolution:
    """Convolution, dropout, norm and, unless `activate` is false, activation.

    The convolution has a bias where both `bias` and the options say so. Without activation there is no dropout either:
    of a residual block's convolutions the first one alone has it, as in nnU-Net v2.
    """
    return Convolution(
        spatial_dims,
        in_channels,
        out_channels,
        strides=stride,
        kernel_size=kernel_size,
        adn_ordering="DNA",
        norm=options.norm,  # type: ignore[arg-type]
        act=options.act if activate else None,  # type: ignore[arg-type]
        dropout=options.dropout if activate and options.dropout else None,
        dropout_dim=spatial_dims,
        bias=bias and options.conv_bias,
    )


def initialise(module: nn.Module, negative_slope: float = DEFAULTS.negative_slope) -> None:
    """Kaiming normal weights and zero biases for convolutions; for `network.apply`.

    Source: nnU-Net v2. The last norm of each residual block starts at zero, so that a block starts as its skip.

    Args:
        module: any module; others than convolutions and residual blocks are left alone.
        negative_slope: of the activation that the weights are scaled for.
    """
    if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        nn.init.kaiming_normal_(module.weight, a=negative_slope)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, ResidualBlock):
        for parameter in module.conv2.get_submodule("adn.N").parameters():
            nn.init.zeros_(parameter)


class ResidualBlock(nn.Module):
    """Two convolutions beside a skip.

    ::

        --+-- conv, (dropout), norm, act -- conv, norm -- (SE) -- (drop) --+-- act --
          |                                                                |
          +-- average pool -- 1x1 conv, norm ------------------------------+

    The pool is there when the block strides, the 1x1 convolution (without bias) when it changes the channels.

    Source: nnU-Net v2's residual encoder; squeeze-and-excitation on the residual branch as in Hu et al. 2018;
    dropping the branch as in Huang et al. 2016.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: kernel of both convolutions, along each axis.
        stride: down-sampling by the block, along each axis.
        options: layers of the block.
        drop_p: probability with which, in training, a sample goes through the skip alone. The branch of the other
            samples is scaled by 1 / (1 - drop_p).
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        stride: Sequence[int],
        options: BlockOptions = DEFAULTS,
        *,
        drop_p: float = 0.0,
    ) -> None:
        super().__init__()
        self.conv1 = conv_block(spatial_dims, in_channels, out_channels, kernel_size, options, stride=stride)
        self.conv2 = conv_block(spatial_dims, out_channels, out_channels, kernel_size, options, activate=False)
        self.excite = squeeze_excitation_layer(options.squeeze_excitation, spatial_dims, out_channels, options.se_ratio)
        self.drop = DropPath(drop_p) if drop_p else nn.Identity()
        self.skip = nn.Sequential()
        if any(s != 1 for s in stride):
            self.skip.append(Pool[Pool.AVG, spatial_dims](tuple(stride), tuple(stride)))
        if in_channels != out_channels:
            one = (1,) * spatial_dims
            self.skip.append(
                conv_block(spatial_dims, in_channels, out_channels, one, options, activate=False, bias=False)
            )
        self.act = get_act_layer(options.act)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map B C D H W to B C' D' H' W' with D' = D / stride."""
        residual = self.drop(self.excite(self.conv2(self.conv1(x))))
        return self.act(residual + self.skip(x))


class UpBlock(nn.Module):
    """Up-sample, join the encoder's features, convolve.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the lower level.
        out_channels: channels of the encoder's features, and of the output.
        kernel_size: kernel of the convolutions, along each axis.
        stride: up-sampling, along each axis.
        n_conv: number of convolution blocks.
        options: layers of the block.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        stride: Sequence[int],
        n_conv: int,
        options: BlockOptions = DEFAULTS,
    ) -> None:
        super().__init__()
        self.up = up_sampling_layer(
            options.upsampling, spatial_dims, in_channels, out_channels, stride, options.conv_bias
        )
        self.convs = nn.Sequential(
            *(
                conv_block(spatial_dims, out_channels * (2 if i == 0 else 1), out_channels, kernel_size, options)
                for i in range(n_conv)
            )
        )

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Map B C D H W and the encoder's B C' D' H' W' to B C' D' H' W'."""
        return self.convs(torch.cat([self.up(x), skip], dim=1))
