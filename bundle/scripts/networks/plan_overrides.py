"""Values set by hand over the planned ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, replace
from typing import Any

from ..geometry import did_you_mean
from .planner import plan_unet
from .topology import smallest_patch
from .unet_plan import UNetPlan


def resolve_plan(
    patch_size: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
    plan: UNetPlan | Mapping[str, Any] | None = None,
    *,
    features_per_stage: Sequence[int] | None = None,
    n_blocks_per_stage: Sequence[int] | None = None,
    strides: Sequence[int | Sequence[int]] | None = None,
    kernel_sizes: Sequence[int | Sequence[int]] | None = None,
    n_conv_per_stage_decoder: int | Sequence[int] | None = None,
) -> UNetPlan:
    """Return the given plan, or the one for the patch size, with the values set by hand in place of its own.

    The number of stages is that of `strides` where given, else of `features_per_stage` where given, else the plan's.
    With fewer stages than planned, the first ones are kept, and the last of them becomes the bottleneck, whose planned
    kernel is 3 along every axis. With more, every list must be given.

    Args:
        patch_size: voxels along z, y, x (2D: y, x); plans the network together with `spacing`.
        spacing: physical size of a voxel along the same axes; `None`: the same along all.
        plan: a plan, or its dictionary, instead of `patch_size`.
        features_per_stage: channels of each stage.
        n_blocks_per_stage: residual blocks of each encoder stage.
        strides: down-sampling on entering each stage, per axis or one number for all axes; ones for the first.
        kernel_sizes: convolution kernel of each stage, per axis or one number for all axes.
        n_conv_per_stage_decoder: convolution blocks of each decoder stage: one number for all, or one per stage.

    Raises:
        ValueError: when neither or both of plan and patch size are given, when the lists do not fit each other, when
            more features are given than the patch has stages, and when the patch has fewer voxels than the strides
            divide by (both naming the smallest patch).
    """
    base = _base_plan(patch_size, spacing, plan)
    n_stages = base.n_stages
    if strides is not None:
        n_stages = len(strides)
    elif features_per_stage is not None:
        n_stages = len(features_per_stage)
        if n_stages > base.n_stages:
            raise ValueError(_too_many_stages(list(features_per_stage), base, spacing))

    by_hand: dict[str, Any] = {
        "features_per_stage": features_per_stage,
        "n_blocks_per_stage": n_blocks_per_stage,
        "strides": strides,
        "kernel_sizes": kernel_sizes,
        "n_conv_per_stage_decoder": (n_conv_per_stage_decoder,) * (n_stages - 1)
        if isinstance(n_conv_per_stage_decoder, int)
        else n_conv_per_stage_decoder,
    }
    kept = _first_stages(base, n_stages)
    changes: dict[str, Any] = {name: kept[name] if value is None else tuple(value) for name, value in by_hand.items()}
    resolved = replace(base, **changes)
    if any(edge < divisor for edge, divisor in zip(resolved.patch_size, resolved.divisor, strict=True)):
        raise ValueError(
            f"patch size {list(resolved.patch_size)} is too small for {resolved.n_stages} stages with strides "
            f"{[list(row) for row in resolved.strides]}; the smallest is {list(resolved.divisor)}"
        )
    return resolved


def _base_plan(
    patch_size: Sequence[int] | None, spacing: Sequence[float] | None, plan: UNetPlan | Mapping[str, Any] | None
) -> UNetPlan:
    """The plan before anything is set by hand."""
    if plan is None:
        if patch_size is None:
            raise ValueError("give `patch_size` (and `spacing`), or a `plan`: neither was given")
        return plan_unet(patch_size, spacing if spacing is not None else (1.0,) * len(patch_size))
    if patch_size is not None or spacing is not None:
        raise ValueError(
            f"a plan is made for its own patch size and spacing; leave out `plan`, "
            f"or patch_size = {patch_size} and spacing = {spacing}"
        )
    if isinstance(plan, UNetPlan):
        return plan
    known = [field.name for field in fields(UNetPlan)]
    unknown = [f"'{key}'{did_you_mean(key, known)}" for key in plan if key not in known]
    missing = [field.name for field in fields(UNetPlan) if field.default is MISSING and field.name not in plan]
    if unknown or missing:
        raise ValueError(
            f"plan: unknown entries: {', '.join(unknown) or 'none'}; missing entries: {', '.join(missing) or 'none'}"
        )
    return UNetPlan(**plan)


def _first_stages(plan: UNetPlan, n_stages: int) -> dict[str, Any]:
    """The plan's lists, cut to `n_stages`."""
    kernels = plan.kernel_sizes
    if n_stages < plan.n_stages:
        kernels = (*kernels[: max(0, n_stages - 1)], (3,) * plan.spatial_dims)
    return {
        "features_per_stage": plan.features_per_stage[:n_stages],
        "n_blocks_per_stage": plan.n_blocks_per_stage[:n_stages],
        "strides": plan.strides[:n_stages],
        "kernel_sizes": kernels,
        "n_conv_per_stage_decoder": plan.n_conv_per_stage_decoder[: max(0, n_stages - 1)],
    }


def _too_many_stages(features: list[int], plan: UNetPlan, spacing: Sequence[float] | None) -> str:
    message = (
        f"features_per_stage has {len(features)} entries ({features}), but the plan for patch size "
        f"{list(plan.patch_size)} has {plan.n_stages} stages"
    )
    smallest = smallest_patch(len(features), spacing or (1.0,) * plan.spatial_dims)
    return f"{message}; give fewer features, or `strides` by hand, or a patch of at least {list(smallest)}"
