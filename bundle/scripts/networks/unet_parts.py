"""Encoder, decoder and heads of the residual U-Net."""

from __future__ import annotations

import torch
from monai.networks.layers import Conv
from torch import nn

from .activation_checkpointing import run
from .block_options import BlockOptions
from .unet_blocks import DEFAULTS, ResidualBlock, UpBlock, conv_block
from .unet_plan import UNetPlan


class ResidualEncoder(nn.Module):
    """A stem and one sequence of residual blocks per stage.

    Args:
        in_channels: channels of the image.
        plan: topology.
        options: layers of the blocks.
        stochastic_depth_p: probability with which the last block drops its residual branch; it grows linearly from
            block to block (Huang et al. 2016).
    """

    def __init__(
        self, in_channels: int, plan: UNetPlan, options: BlockOptions = DEFAULTS, stochastic_depth_p: float = 0.0
    ) -> None:
        super().__init__()
        dims, channels = plan.spatial_dims, plan.features_per_stage[0]
        self.stem = conv_block(dims, in_channels, channels, plan.kernel_sizes[0], options)
        self.stages = nn.ModuleList()
        n_above, n_blocks_in_all = 0, sum(plan.n_blocks_per_stage)
        for features, n_blocks, kernel, stride in zip(
            plan.features_per_stage, plan.n_blocks_per_stage, plan.kernel_sizes, plan.strides, strict=True
        ):
            stage = nn.Sequential()
            for block in range(n_blocks):
                n_above += 1
                stage.append(
                    ResidualBlock(
                        dims,
                        features if block else channels,
                        features,
                        kernel,
                        (1,) * dims if block else stride,
                        options,
                        drop_p=stochastic_depth_p * n_above / n_blocks_in_all,
                    )
                )
            self.stages.append(stage)
            channels = features
        self.checkpointing = options.activation_checkpointing

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Map B C D H W to the features of every stage, full resolution first, bottleneck last."""
        x = run(self.stem, x, checkpointing=self.checkpointing)
        features = []
        for stage in self.stages:
            x = run(stage, x, checkpointing=self.checkpointing)
            features.append(x)
        return features


class Decoder(nn.Module):
    """From the bottleneck back to full resolution, joining the encoder's features on the way.

    Args:
        plan: topology.
        options: layers of the blocks.
    """

    def __init__(self, plan: UNetPlan, options: BlockOptions = DEFAULTS) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            UpBlock(
                plan.spatial_dims,
                in_channels=plan.features_per_stage[i + 1],
                out_channels=plan.features_per_stage[i],
                kernel_size=plan.kernel_sizes[i],
                stride=plan.strides[i + 1],
                n_conv=plan.n_conv_per_stage_decoder[i],
                options=options,
            )
            for i in range(plan.n_stages - 1)
        )
        self.checkpointing = options.activation_checkpointing

    def forward(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        """Map the encoder's features to the decoder's, full resolution first, one level fewer (but at least one)."""
        x, outputs = features[-1], []
        for level, skip in zip(reversed(self.levels), reversed(features[:-1]), strict=True):
            x = run(level, x, skip, checkpointing=self.checkpointing)
            outputs.append(x)
        return outputs[::-1] or [x]


class Heads(nn.Module):
    """Logits of one target: a 1x1 convolution per supervised level of its decoder.

    Args:
        plan: topology.
        channels: channels of the target.
        deep_supervision: whether every level has a head that speaks in training, or the full resolution alone.
    """

    def __init__(self, plan: UNetPlan, channels: int, deep_supervision: bool) -> None:
        super().__init__()
        self.deep_supervision = deep_supervision
        n_levels = max(1, plan.n_stages - 1) if deep_supervision else 1
        conv = Conv[Conv.CONV, plan.spatial_dims]
        self.levels = nn.ModuleList(conv(f, channels, kernel_size=1) for f in plan.features_per_stage[:n_levels])

    def forward(self, levels: list[torch.Tensor]) -> torch.Tensor | list[torch.Tensor]:
        """Map a decoder's levels to logits: a list in training with deep supervision, else the full resolution's."""
        if self.training and self.deep_supervision:
            return [head(level) for head, level in zip(self.levels, levels, strict=True)]
        return self.levels[0](levels[0])
