"""The network's plan, derived from patch size, spacing and memory by nnU-Net's rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..geometry import parse_targets
from .block_options import check_choice
from .feature_maps import count_feature_map_values
from .memory_rule import choose_patch_size, memory_budget
from .topology import MIN_EDGE, plan_topology
from .unet_plan import UNetPlan, is_positive_int

_FIRST_FEATURES = 32
_MAX_FEATURES = {2: 512, 3: 320}
_ENCODER_BLOCKS = (1, 3, 4, 6)  # the last number holds for every further stage


def plan_unet(
    patch_size: Sequence[int] | None,
    spacing: Sequence[float],
    *,
    preset: str = "M",
    in_channels: int = 1,
    targets: Mapping[str, Any] | None = None,
    decoder: str = "separate",
    memory_gb: float | None = None,
    median_shape: Sequence[float] | None = None,
    dataset_voxels: float | None = None,
    max_features: int | None = None,
    min_bottleneck_edge: int = MIN_EDGE,
) -> UNetPlan:
    """Derive strides, kernels, features and blocks of a residual U-Net, and patch and batch size when asked.

    An axis is halved while it has at least two minimum edges, and only together with axes of similar spacing (less than
    twice the smallest), so that voxels become isotropic with depth. A kernel spans an axis as soon as the axis's
    spacing is less than twice the smallest.

    With `patch_size=None` the patch is the largest that fits the memory. With that, or a `memory_gb`, the plan has a
    `batch_size`. Memory is counted in feature-map values (see `count_feature_map_values`) against the number that
    nnU-Net found to fit; `estimate_training_memory` says what a network takes in bytes.

    Source: nnU-Net v2 (Isensee et al. 2021, 2024), residual encoder plans.

    Args:
        patch_size: voxels along z, y, x (2D: y, x). It need not be divisible, see `UNetPlan.padded_patch_size`. `None`:
            chosen for `median_shape`.
        spacing: physical size of a voxel along the same axes, in any unit.
        preset: `"M"`, `"L"` or `"XL"`, made for 8, 24 and 40 GB; a given patch size has the same topology in all.
        in_channels: channels of the image.
        targets: the `targets` table; `None` is one target of two channels.
        decoder: `"separate"` or `"shared"`, for targets whose own `decoder` does not say.
        memory_gb: memory, GB; `None`: the one that the preset was made for.
        median_shape: voxels of the typical volume at this spacing, along the same axes; for `patch_size=None` only.
        dataset_voxels: voxels of all volumes at this spacing, which a batch does not exceed.
        max_features: cap of the channels, which double with each stage from 32. Default 320 in 3D, 512 in 2D.
        min_bottleneck_edge: voxels along an axis below which it is not halved further.

    Raises:
        ValueError: for sizes or spacings that are not positive or not 2 or 3 each, for an unknown preset, and for a
            memory into which the patch, or the smallest one, does not fit.
    """
    shape = _checked_shape(patch_size, median_shape)
    spacing = tuple(spacing)
    if len(spacing) != len(shape) or any(not 0 < s < math.inf for s in spacing):
        raise ValueError(
            f"spacing must be {len(shape)} positive numbers, one per axis of the patch, got {list(spacing)}"
        )
    budget = memory_budget(preset, len(shape), memory_gb)
    for name, value in (
        ("in_channels", in_channels),
        ("max_features", max_features),
        ("min_bottleneck_edge", min_bottleneck_edge),
    ):
        if value is not None and not is_positive_int(value):
            raise ValueError(f"{name} must be a positive whole number, got {value!r}")
    if dataset_voxels is not None and not dataset_voxels > 0:
        raise ValueError(f"dataset_voxels must be a positive number, got {dataset_voxels!r}")
    check_choice("decoder", decoder, ("separate", "shared"))
    table = None if targets is None else parse_targets(targets)

    def plan_for(size: Sequence[float]) -> UNetPlan:
        return _plan(size, spacing, preset, max_features or _MAX_FEATURES[len(size)], min_bottleneck_edge)

    def count(plan: UNetPlan) -> int:
        return count_feature_map_values(plan, in_channels=in_channels, targets=table, decoder=decoder)

    if median_shape is not None:
        plan = choose_patch_size(spacing, median_shape, budget, plan_for, count, min_bottleneck_edge)
    else:
        plan = plan_for(shape)
        if memory_gb is None and dataset_voxels is None:
            return plan
        if (values := count(plan)) > budget.largest_patch:
            raise ValueError(
                f"a memory of {budget.gigabytes:g} GB holds a batch of two patches of {budget.largest_patch:,.0f} "
                f"feature-map values, but one of {list(shape)} voxels has {values:,}; give a smaller patch, or about "
                f"{budget.gigabytes * values / budget.largest_patch:.3g} GB"
            )
    batch_size = budget.batch_size(count(plan), math.prod(plan.padded_patch_size), dataset_voxels)
    return replace(plan, batch_size=batch_size)


def _plan(size: Sequence[float], spacing: tuple[float, ...], preset: str, max_features: int, min_edge: int) -> UNetPlan:
    strides, kernels = plan_topology(size, spacing, min_edge)
    n_stages = len(strides)
    return UNetPlan(
        patch_size=tuple(math.ceil(edge) for edge in size),
        strides=strides,
        kernel_sizes=kernels,
        features_per_stage=tuple(min(max_features, _FIRST_FEATURES * 2**stage) for stage in range(n_stages)),
        n_blocks_per_stage=tuple(_ENCODER_BLOCKS[min(i, len(_ENCODER_BLOCKS) - 1)] for i in range(n_stages)),
        n_conv_per_stage_decoder=(1,) * (n_stages - 1),
        preset=preset,
    )


def _checked_shape(patch_size: Sequence[int] | None, median_shape: Sequence[float] | None) -> Sequence[float]:
    """The one of both that is given."""
    if median_shape is None:
        if patch_size is None:
            raise ValueError("give `patch_size`, or `median_shape` for which one is chosen: neither was given")
        if len(patch_size) not in (2, 3) or any(not is_positive_int(edge) for edge in patch_size):
            raise ValueError(f"patch_size must be 2 or 3 positive whole numbers, got {list(patch_size)}")
        return patch_size
    if patch_size is not None:
        raise ValueError(
            f"`median_shape` is for choosing a patch size; leave it out, or patch_size = {list(patch_size)}"
        )
    if len(median_shape) not in (2, 3) or any(not 1 <= edge < math.inf for edge in median_shape):
        raise ValueError(f"median_shape must be 2 or 3 numbers of at least 1, got {list(median_shape)}")
    return median_shape
