"""nnU-Net's measure of what a network holds in training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..geometry import parse_targets
from .unet_plan import UNetPlan

_NNUNET_CHANNELS = 2  # background and foreground


def count_feature_map_values(
    plan: UNetPlan,
    *,
    in_channels: int = 1,
    targets: Mapping[str, Any] | None = None,
    decoder: str = "separate",
) -> int:
    """Number of values that the convolutions of a residual U-Net give for one patch.

    Counted are the outputs of the stem, of both convolutions and the skip of each residual block, of the decoders'
    up-sampling and convolutions, and of the full-resolution heads. With one input channel and one target this is
    nnU-Net's own number (without deep supervision). Beyond that, each further decoder and each channel of each target
    counts as what it holds, and so does each further channel of the image, which is kept for the stem's gradient.

    Source: nnU-Net v2 (Isensee et al. 2024), residual encoder planner.

    Args:
        plan: topology; its patch size is rounded up to what runs.
        in_channels: channels of the image.
        targets: the `targets` table; `None` is one target of two channels.
        decoder: `"separate"` or `"shared"`, for targets whose own `decoder` does not say.
    """
    n_decoders, head_channels = 1, _NNUNET_CHANNELS
    if targets is not None:
        table = parse_targets(targets)
        shared = [name for name, target in table.items() if (target.decoder or decoder) == "shared"]
        n_decoders = len(table) - len(shared) + bool(shared)
        head_channels = sum(target.channels for target in table.values())

    size, features = plan.padded_patch_size, plan.features_per_stage
    voxels = []
    for stride in plan.strides:
        size = tuple(s // step for s, step in zip(size, stride, strict=True))
        voxels.append(math.prod(size))

    stem = features[0] * voxels[0]
    encoder = 0
    for stage, n_blocks in enumerate(plan.n_blocks_per_stage):
        changes_channels = features[stage] != features[max(0, stage - 1)]
        has_skip = changes_channels or any(step != 1 for step in plan.strides[stage])
        encoder += features[stage] * voxels[stage] * (2 * n_blocks + has_skip)
    one_decoder = sum(
        features[level] * voxels[level] * (1 + n_conv) for level, n_conv in enumerate(plan.n_conv_per_stage_decoder)
    )
    return stem + encoder + n_decoders * one_decoder + (head_channels + in_channels - 1) * voxels[0]
