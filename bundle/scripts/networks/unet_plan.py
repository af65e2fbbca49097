"""The network's topology, derived from patch size and spacing by nnU-Net's rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..geometry import did_you_mean

PRESETS = ("M", "L", "XL")
"""nnU-Net's residual encoder presets, by the memory that they were made for: 8, 24 and 40 GB."""

_FIRST_FEATURES = 32
_MAX_FEATURES = {2: 512, 3: 320}
_ENCODER_BLOCKS = (1, 3, 4, 6)  # the last number holds for every further stage
_MIN_EDGE = 4
_AXES = "zyx"


@dataclass(frozen=True)
class UNetPlan:
    """Topology of a U-Net, one entry per stage, full resolution first.

    Args:
        patch_size: voxels along each axis that the plan was made for.
        strides: down-sampling on entering each stage, along each axis (or one number for all); ones for the first.
        kernel_sizes: convolution kernel of each stage, along each axis (or one number for all).
        features_per_stage: channels of each stage.
        n_blocks_per_stage: residual blocks of each encoder stage.
        n_conv_per_stage_decoder: convolution blocks of each decoder stage, one stage fewer than in the encoder.
        preset: the memory class that the plan belongs to; kept with the plan, the topology does not depend on it.

    Raises:
        ValueError: for lengths that do not fit each other, or strides and kernels that no U-Net can have.
    """

    patch_size: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    kernel_sizes: tuple[tuple[int, ...], ...]
    features_per_stage: tuple[int, ...]
    n_blocks_per_stage: tuple[int, ...]
    n_conv_per_stage_decoder: tuple[int, ...]
    preset: str = "M"

    def __post_init__(self) -> None:
        # A plan pasted into JSON comes back with lists.
        for name in ("patch_size", "features_per_stage", "n_blocks_per_stage", "n_conv_per_stage_decoder"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("strides", "kernel_sizes"):
            rows = getattr(self, name)
            every_axis = (1,) * len(self.patch_size)
            rows = tuple(tuple(row * one for one in every_axis) if isinstance(row, int) else tuple(row) for row in rows)
            object.__setattr__(self, name, rows)
        faults = _plan_faults(self)
        if faults:
            raise ValueError("\n".join(faults))

    @property
    def spatial_dims(self) -> int:
        """Number of spatial axes."""
        return len(self.patch_size)

    @property
    def n_stages(self) -> int:
        """Number of resolutions, the bottleneck included."""
        return len(self.features_per_stage)

    @property
    def divisor(self) -> tuple[int, ...]:
        """Number by which an input must be divisible, along each axis."""
        divisor = [1] * self.spatial_dims
        for stride in self.strides:
            divisor = [d * s for d, s in zip(divisor, stride, strict=True)]
        return tuple(divisor)

    @property
    def padded_patch_size(self) -> tuple[int, ...]:
        """The patch size, rounded up to the divisors: the smallest size that holds the patch and runs."""
        return tuple(-(-size // d) * d for size, d in zip(self.patch_size, self.divisor, strict=True))

    @property
    def bottleneck_size(self) -> tuple[int, ...]:
        """Voxels along each axis in the last stage, for the padded patch."""
        return tuple(size // d for size, d in zip(self.padded_patch_size, self.divisor, strict=True))

    def as_dict(self) -> dict[str, Any]:
        """The plan as lists and numbers, for JSON; `UNetPlan(**plan.as_dict())` is the plan again."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["strides"] = [list(row) for row in self.strides]
        values["kernel_sizes"] = [list(row) for row in self.kernel_sizes]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def plan_unet(
    patch_size: Sequence[int],
    spacing: Sequence[float],
    *,
    preset: str = "M",
    max_features: int | None = None,
    min_bottleneck_edge: int = _MIN_EDGE,
) -> UNetPlan:
    """Derive strides, kernels, features and blocks of a residual U-Net from patch size and spacing.

    An axis is halved while it has at least two minimum edges, and only together with axes of similar spacing (less than
    twice the smallest), so that voxels become isotropic with depth. A kernel spans an axis as soon as the axis's
    spacing is less than twice the smallest.

    Source: nnU-Net v2 (Isensee et al. 2021, 2024), residual encoder plans.

    Args:
        patch_size: voxels along z, y, x (2D: y, x). It need not be divisible, see `UNetPlan.padded_patch_size`.
        spacing: physical size of a voxel along the same axes, in any unit.
        preset: `"M"`, `"L"` or `"XL"`. The topology of a given patch size is the same for all; the plan keeps the
            preset for the choice of patch and batch size, whose memory budget it names.
        max_features: cap of the channels, which double with each stage from 32. Default 320 in 3D, 512 in 2D.
        min_bottleneck_edge: voxels along an axis below which it is not halved further.

    Raises:
        ValueError: for sizes or spacings that are not positive or not 2 or 3 each, and for an unknown preset.
    """
    size, spacing = tuple(patch_size), tuple(spacing)
    if len(size) not in (2, 3) or any(not _is_positive_int(s) for s in size):
        raise ValueError(f"patch_size must be 2 or 3 positive whole numbers, got {list(size)}")
    if len(spacing) != len(size) or any(not s > 0 for s in spacing):
        raise ValueError(
            f"spacing must be {len(size)} positive numbers, one per axis of the patch, got {list(spacing)}"
        )
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}; got {preset!r}{did_you_mean(preset, PRESETS)}")
    for name, value in (("max_features", max_features), ("min_bottleneck_edge", min_bottleneck_edge)):
        if value is not None and not _is_positive_int(value):
            raise ValueError(f"{name} must be a positive whole number, got {value!r}")

    strides, kernels = _topology(size, spacing, min_bottleneck_edge)
    n_stages = len(strides)
    cap = max_features or _MAX_FEATURES[len(size)]
    return UNetPlan(
        patch_size=size,
        strides=strides,
        kernel_sizes=kernels,
        features_per_stage=tuple(min(cap, _FIRST_FEATURES * 2**stage) for stage in range(n_stages)),
        n_blocks_per_stage=tuple(_ENCODER_BLOCKS[min(i, len(_ENCODER_BLOCKS) - 1)] for i in range(n_stages)),
        n_conv_per_stage_decoder=(1,) * (n_stages - 1),
        preset=preset,
    )


def smallest_patch(n_stages: int, spacing: Sequence[float]) -> tuple[int, ...]:
    """Smallest patch, divisible by its strides, for which `plan_unet` plans `n_stages` stages at this spacing."""
    n_pools = [0] * len(spacing)
    needed = [1] * len(spacing)
    for _ in range(n_stages - 1):
        current = [s * 2**n for s, n in zip(spacing, n_pools, strict=True)]
        pooled = _similar_axes(current, range(len(spacing)))
        for axis in pooled:
            # An axis halved alone must have three minimum edges, see `_topology`.
            edges = 3 if len(pooled) == 1 else 2
            needed[axis] = max(needed[axis], edges * _MIN_EDGE * 2 ** n_pools[axis])
            n_pools[axis] += 1
    return tuple(needed)


def check_patch_size(patch_size: Sequence[int], plan: UNetPlan) -> None:
    """Check that an input of this size passes through the network and comes out in the same size.

    Args:
        patch_size: voxels along each axis.
        plan: the network's plan.

    Raises:
        ValueError: that names each axis at fault and the nearest sizes below and above.
    """
    if len(patch_size) != plan.spatial_dims:
        raise ValueError(f"expected {plan.spatial_dims} spatial axes, got a patch of size {list(patch_size)}")
    faults = []
    for axis, size, divisor in zip(_AXES[-plan.spatial_dims :], patch_size, plan.divisor, strict=True):
        if size % divisor or size < 1:
            below, above = size // divisor * divisor, (size // divisor + 1) * divisor
            nearest = f"{below} or {above}" if below else str(above)
            faults.append(f"axis {axis} has {size} voxels, which {divisor} does not divide (nearest: {nearest})")
    if faults:
        raise ValueError(f"patch size {[int(s) for s in patch_size]} does not fit the network: {'; '.join(faults)}")


def _topology(
    size: tuple[int, ...], spacing: tuple[float, ...], min_edge: int
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """Strides and kernels of all stages."""
    axes = range(len(size))
    current_size, current_spacing = list(size), list(spacing)
    strides, kernels = [(1,) * len(size)], []
    kernel = [1] * len(size)
    while True:
        pooled = _similar_axes(current_spacing, [a for a in axes if current_size[a] >= 2 * min_edge])
        if not pooled or (len(pooled) == 1 and current_size[pooled[0]] < 3 * min_edge):
            break
        for axis in _similar_axes(current_spacing, axes):
            kernel[axis] = 3  # and stays so: an axis once spanned is never left out again
        kernels.append(tuple(kernel))
        for axis in pooled:
            current_spacing[axis] *= 2
            current_size[axis] = -(-current_size[axis] // 2)
        strides.append(tuple(2 if axis in pooled else 1 for axis in axes))
    kernels.append((3,) * len(size))
    return tuple(strides), tuple(kernels)


def _similar_axes(spacing: Sequence[float], axes: Sequence[int]) -> list[int]:
    """Those of the axes whose spacing is less than twice the smallest among them."""
    return [axis for axis in axes if spacing[axis] < 2 * min(spacing[a] for a in axes)]


def _plan_faults(plan: UNetPlan) -> list[str]:
    n_stages, dims = plan.n_stages, plan.spatial_dims
    if n_stages == 0:
        return ["features_per_stage must have one number per stage, at least one; got []"]
    faults = []
    for name, expected in (
        ("strides", n_stages),
        ("kernel_sizes", n_stages),
        ("n_blocks_per_stage", n_stages),
        ("n_conv_per_stage_decoder", n_stages - 1),
    ):
        given = getattr(plan, name)
        if len(given) != expected:
            faults.append(
                f"{name} has {len(given)} entries, but features_per_stage has {n_stages} stages, "
                f"which need {expected}: {name} = {list(given)}, features_per_stage = {list(plan.features_per_stage)}"
            )
    for name in ("features_per_stage", "n_blocks_per_stage", "n_conv_per_stage_decoder"):
        if any(not _is_positive_int(value) for value in getattr(plan, name)):
            faults.append(f"{name} must hold positive whole numbers, got {list(getattr(plan, name))}")
    for name in ("strides", "kernel_sizes"):
        rows = getattr(plan, name)
        if any(len(row) != dims or any(not _is_positive_int(value) for value in row) for row in rows):
            faults.append(
                f"{name} must hold {dims} positive whole numbers per stage, got {[list(row) for row in rows]}"
            )
    if plan.strides and any(stride != 1 for stride in plan.strides[0]):
        faults.append(f"the first stage keeps full resolution: strides[0] must be ones, got {list(plan.strides[0])}")
    even = [list(row) for row in plan.kernel_sizes if any(value % 2 == 0 for value in row)]
    if even:
        faults.append(f"kernel_sizes must be odd, so that a convolution keeps the size; got {even[0]}")
    return faults


def _is_positive_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
