"""One residual encoder, one output per target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from ..geometry import parse_targets
from .block_options import DEFAULT_ACT, BlockOptions, Layer, check_choice
from .module_names import check_module_names
from .plan_overrides import resolve_plan
from .unet_blocks import initialise
from .unet_parts import Decoder, Heads, ResidualEncoder
from .unet_plan import UNetPlan, check_patch_size, is_positive_int

_DECODERS = ("separate", "shared")


class MultiTaskUNet(nn.Module):
    """U-Net with a residual encoder and one output per target, each with a decoder of its own or on a shared one.

    Give `patch_size` (and `spacing`), from which the topology is planned, or a `plan`. Values set by hand replace the
    plan's, see `resolve_plan`.

    Source: nnU-Net v2's residual encoder U-Net (Isensee et al. 2024); squeeze-and-excitation after Hu et al. 2018.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        targets: the `targets` table; its `decoder` and `deep_supervision` override the network's for a target.
        patch_size: voxels along z, y, x (2D: y, x) that the network is trained on.
        spacing: physical size of a voxel along the same axes; `None`: the same along all.
        plan: a `UNetPlan`, or its dictionary, instead of `patch_size`.
        features_per_stage: channels of each stage; fewer entries than planned stages make a shallower network.
        n_blocks_per_stage: residual blocks of each encoder stage.
        strides: down-sampling on entering each stage, per axis or one number for all axes; ones for the first.
        kernel_sizes: convolution kernel of each stage, per axis or one number for all axes.
        n_conv_per_stage_decoder: convolution blocks of each decoder stage: one number for all, or one per stage.
        squeeze_excitation: what each residual block weighs: its channels (true or `"channel"`), its voxels
            (`"spatial"`), or the sum of both (`"both"`).
        se_ratio: channels per hidden channel of the channel squeeze-and-excitation.
        stochastic_depth_p: probability, below 1, with which the encoder's last block is skipped in training, sample by
            sample; it grows linearly from block to block.
        norm: `"instance"`, `"batch"` or `"group"`, alone or with arguments: `["group", {"num_groups": 8}]`.
        act: any activation of MONAI, alone or with arguments; initial weights are scaled for its negative slope.
        conv_bias: whether the convolutions of blocks and up-sampling have a bias.
        dropout: probability, below 1, with which in training a channel of the stem, of a residual block's first
            convolution and of a decoder's convolutions is zeroed, between convolution and norm.
        upsampling: `"transposed"` convolution, or `"nearest"` or `"linear"` interpolation with a 1x1 convolution.
        activation_checkpointing: whether training computes each stage and level twice to save memory.
        decoder: `"separate"`: one decoder per target; `"shared"`: one for all targets that do not ask for their own.
        deep_supervision: whether, in training, a target's output is a list with every level of its decoder.

    Raises:
        ValueError: for lists that do not fit each other or the patch, and for options that are not known.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        targets: Mapping[str, Any],
        *,
        patch_size: Sequence[int] | None = None,
        spacing: Sequence[float] | None = None,
        plan: UNetPlan | Mapping[str, Any] | None = None,
        features_per_stage: Sequence[int] | None = None,
        n_blocks_per_stage: Sequence[int] | None = None,
        strides: Sequence[int | Sequence[int]] | None = None,
        kernel_sizes: Sequence[int | Sequence[int]] | None = None,
        n_conv_per_stage_decoder: int | Sequence[int] | None = None,
        squeeze_excitation: bool | str = False,
        se_ratio: int = 16,
        stochastic_depth_p: float = 0.0,
        norm: Layer = "instance",
        act: Layer = DEFAULT_ACT,
        conv_bias: bool = True,
        dropout: float = 0.0,
        upsampling: str = "transposed",
        activation_checkpointing: bool = False,
        decoder: str = "separate",
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        self.targets = parse_targets(targets)
        self.plan = resolve_plan(
            patch_size,
            spacing,
            plan,
            features_per_stage=features_per_stage,
            n_blocks_per_stage=n_blocks_per_stage,
            strides=strides,
            kernel_sizes=kernel_sizes,
            n_conv_per_stage_decoder=n_conv_per_stage_decoder,
        )
        if self.plan.spatial_dims != spatial_dims:
            raise ValueError(f"spatial_dims is {spatial_dims}, but the patch size is {list(self.plan.patch_size)}")
        if not is_positive_int(in_channels):
            raise ValueError(f"in_channels must be a positive whole number, got {in_channels!r}")
        if not isinstance(stochastic_depth_p, (int, float)) or not 0 <= stochastic_depth_p < 1:
            raise ValueError(f"stochastic_depth_p must be a number >= 0 and < 1, got {stochastic_depth_p!r}")
        check_choice("decoder", decoder, _DECODERS)
        check_module_names(self.targets)
        blocks = BlockOptions(
            norm=norm,
            act=act,
            conv_bias=conv_bias,
            dropout=dropout,
            squeeze_excitation=squeeze_excitation,
            se_ratio=se_ratio,
            upsampling=upsampling,
            activation_checkpointing=activation_checkpointing,
        )
        blocks.check_features(self.plan.features_per_stage)

        self.encoder = ResidualEncoder(in_channels, self.plan, blocks, stochastic_depth_p)
        shared = [name for name, target in self.targets.items() if (target.decoder or decoder) == "shared"]
        self.shared_decoder = Decoder(self.plan, blocks) if shared else None
        self.decoders = nn.ModuleDict({name: Decoder(self.plan, blocks) for name in self.targets if name not in shared})
        self.heads = nn.ModuleDict()
        for name, target in self.targets.items():
            deep = deep_supervision if target.deep_supervision is None else target.deep_supervision
            self.heads[name] = Heads(self.plan, target.channels, deep)
        self.apply(partial(initialise, negative_slope=blocks.negative_slope))

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        """Predict every target.

        Args:
            x: image, B C D H W (2D: B C H W), each axis divisible by `plan.divisor`.

        Returns:
            Per target, in their order, logits B C D H W; in training with deep supervision, a list of them, one per
            decoder level, full resolution first.

        Raises:
            ValueError: for a size that is not divisible, naming the nearest sizes.
        """
        check_patch_size(x.shape[2:], self.plan)
        features = self.encoder(x)
        shared = self.shared_decoder(features) if self.shared_decoder is not None else None
        return {
            name: head(self.decoders[name](features) if name in self.decoders else shared)
            for name, head in self.heads.items()
        }

    def shared_parameters(self) -> list[nn.Parameter]:
        """Parameters of the last layer that all targets share, where their losses' gradients can be compared.

        It is the shared decoder's last convolution block where all targets stand on it, else the encoder's last stage.
        """
        if self.shared_decoder is not None and not self.decoders and len(self.shared_decoder.levels):
            return list(self.shared_decoder.levels[0].get_submodule("convs")[-1].parameters())  # type: ignore[index]
        return list(self.encoder.stages[-1].parameters())
