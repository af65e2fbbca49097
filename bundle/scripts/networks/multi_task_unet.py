"""One residual encoder, one output per target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..geometry import did_you_mean, parse_targets
from .plan_overrides import resolve_plan
from .unet_blocks import initialise
from .unet_parts import Decoder, Heads, ResidualEncoder
from .unet_plan import UNetPlan, check_patch_size

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
        squeeze_excitation: whether each residual block weighs its channels.
        se_ratio: channels per hidden channel of the squeeze-and-excitation.
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
        squeeze_excitation: bool = False,
        se_ratio: int = 16,
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
        if decoder not in _DECODERS:
            known = " or ".join(f"'{name}'" for name in _DECODERS)
            raise ValueError(f"decoder must be {known}, got {decoder!r}{did_you_mean(decoder, _DECODERS)}")
        thinnest = min(self.plan.features_per_stage)
        if squeeze_excitation and not 1 <= se_ratio <= thinnest:
            raise ValueError(f"se_ratio must be 1 to {thinnest}, the fewest features of a stage; got {se_ratio}")
        for name in self.targets:
            if hasattr(nn.ModuleDict(), name):
                raise ValueError(f"targets: '{name}' is a word that torch keeps for itself; choose another name")

        self.encoder = ResidualEncoder(in_channels, self.plan, se_ratio if squeeze_excitation else None)
        shared = [name for name, target in self.targets.items() if (target.decoder or decoder) == "shared"]
        self.shared_decoder = Decoder(self.plan) if shared else None
        self.decoders = nn.ModuleDict({name: Decoder(self.plan) for name in self.targets if name not in shared})
        self.heads = nn.ModuleDict()
        for name, target in self.targets.items():
            deep = deep_supervision if target.deep_supervision is None else target.deep_supervision
            self.heads[name] = Heads(self.plan, target.channels, deep)
        self.apply(initialise)

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
