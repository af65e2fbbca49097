"""The topology of a U-Net, and the sizes that pass through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

_AXES = "zyx"

_MOST_BLOCKS = 1000
"""Of a stage: no network has as many, and one with a typing error would be built for hours."""


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
        preset: nnU-Net's memory class that the plan was made for.
        batch_size: patches per step that fit the memory which the plan was made for; `None` where none was asked for.

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
    batch_size: int | None = None

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


def _plan_faults(plan: UNetPlan) -> list[str]:
    n_stages, dims = plan.n_stages, plan.spatial_dims
    if n_stages == 0:
        return ["features_per_stage must have one number per stage, at least one; got []"]
    faults = []
    if plan.batch_size is not None and not is_positive_int(plan.batch_size):
        faults.append(f"batch_size must be a positive whole number or null, got {plan.batch_size!r}")
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
        if any(not is_positive_int(value) for value in getattr(plan, name)):
            faults.append(f"{name} must hold positive whole numbers, got {list(getattr(plan, name))}")
        elif name != "features_per_stage" and any(value > _MOST_BLOCKS for value in getattr(plan, name)):
            faults.append(f"{name} must hold numbers up to {_MOST_BLOCKS}, got {list(getattr(plan, name))}")
    for name in ("strides", "kernel_sizes"):
        rows = getattr(plan, name)
        if any(len(row) != dims or any(not is_positive_int(value) for value in row) for row in rows):
            faults.append(
                f"{name} must hold {dims} positive whole numbers per stage, got {[list(row) for row in rows]}"
            )
    if plan.strides and any(stride != 1 for stride in plan.strides[0]):
        faults.append(f"the first stage keeps full resolution: strides[0] must be ones, got {list(plan.strides[0])}")
    even = [list(row) for row in plan.kernel_sizes if any(value % 2 == 0 for value in row)]
    if even:
        faults.append(f"kernel_sizes must be odd, so that a convolution keeps the size; got {even[0]}")
    return faults


def is_positive_int(value: Any) -> bool:
    """Whether a value is a whole number above zero."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
