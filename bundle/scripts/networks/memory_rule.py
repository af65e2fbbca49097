"""nnU-Net's rule that fits patch size and batch size to a memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..geometry import did_you_mean
from .unet_plan import UNetPlan

# gigabytes that a preset is made for, and feature-map values of a patch that fit into them in 2D and 3D
_REFERENCES = {
    "M": (8.0, {2: 135_000_000, 3: 680_000_000}),
    "L": (24.0, {2: 380_000_000, 3: 2_100_000_000}),
    "XL": (40.0, {2: 560_000_000, 3: 3_600_000_000}),
}
_REFERENCE_BATCH = {2: 12, 3: 2}  # patches of that many values per step
_MIN_BATCH = 2
_START_VOXELS = {2: 2048**2, 3: 256**3}

PRESETS = tuple(_REFERENCES)
"""nnU-Net's residual encoder presets, by the memory that they were made for: 8, 24 and 40 GB."""


@dataclass(frozen=True)
class MemoryBudget:
    """What fits into a memory, counted in feature-map values (see `count_feature_map_values`).

    Args:
        gigabytes: the memory.
        values: values of one patch that fit in a batch of `reference_batch`.
        reference_batch: the batch size that `values` is about.
    """

    gigabytes: float
    values: float
    reference_batch: int

    @property
    def largest_patch(self) -> float:
        """Values of one patch that fit in the smallest batch, which is 2."""
        return self.values * self.reference_batch / _MIN_BATCH

    def batch_size(self, values: int, patch_voxels: int, dataset_voxels: float | None = None) -> int:
        """Patches per step, at least 2.

        Args:
            values: of one patch.
            patch_voxels: voxels of one patch.
            dataset_voxels: voxels of all volumes, which a batch does not exceed; `None`: any number.
        """
        batch = round(self.values / values * self.reference_batch)
        if dataset_voxels is not None:
            batch = min(batch, round(dataset_voxels / patch_voxels))
        return max(_MIN_BATCH, batch)


def memory_budget(preset: str, spatial_dims: int, memory_gb: float | None = None) -> MemoryBudget:
    """Budget of a preset, scaled to another memory.

    Args:
        preset: `"M"`, `"L"` or `"XL"`.
        spatial_dims: 2 or 3.
        memory_gb: memory, GB; `None`: the 8, 24 or 40 that the preset was made for.

    Raises:
        ValueError: for an unknown preset, and a memory that is not positive.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}; got {preset!r}{did_you_mean(preset, PRESETS)}")
    if memory_gb is not None and not 0 < memory_gb < math.inf:
        raise ValueError(f"memory_gb must be a positive number, got {memory_gb!r}")
    native, values = _REFERENCES[preset]
    gigabytes = native if memory_gb is None else memory_gb
    return MemoryBudget(gigabytes, values[spatial_dims] * (gigabytes / native), _REFERENCE_BATCH[spatial_dims])


def choose_patch_size(
    spacing: Sequence[float],
    median_shape: Sequence[float],
    budget: MemoryBudget,
    plan_for: Callable[[Sequence[float]], UNetPlan],
    count: Callable[[UNetPlan], int],
    min_edge: int,
) -> UNetPlan:
    """Plan the largest patch that fits a budget.

    It starts as a box of 256^3 (2D: 2048^2) voxels with sides in proportion to 1 / spacing, clipped to the typical
    volume. While it does not fit, the axis that covers most of the typical volume is made shorter.

    Source: nnU-Net v2 (Isensee et al. 2024), residual encoder planner. An axis is not made shorter than the
    bottleneck's smallest edge, and another one is taken instead.

    Args:
        spacing: physical size of a voxel along each axis.
        median_shape: voxels of the typical volume, along the same axes.
        budget: what fits.
        plan_for: plans the network for a patch size.
        count: feature-map values of a plan.
        min_edge: voxels along an axis below which it is not made shorter.

    Returns:
        the plan, whose patch size is divisible by its strides.

    Raises:
        ValueError: if the smallest patch does not fit.
    """
    dims = len(spacing)
    scale = (_START_VOXELS[dims] * math.prod(spacing)) ** (1 / dims)
    start = [min(round(scale / step), shape) for step, shape in zip(spacing, median_shape, strict=True)]
    plan = _padded(plan_for(start))
    while (values := count(plan)) > budget.values:
        smaller = _shrunk(plan, median_shape, plan_for, min_edge)
        if smaller is None:
            needed = budget.gigabytes * values / budget.values
            raise ValueError(
                f"a memory of {budget.gigabytes:g} GB holds a patch of {budget.values:,.0f} feature-map values, but "
                f"even one of {list(plan.patch_size)} voxels has {values:,}; it needs about {needed:.3g} GB"
            )
        plan = smaller
    return plan


def _shrunk(
    plan: UNetPlan,
    median_shape: Sequence[float],
    plan_for: Callable[[Sequence[float]], UNetPlan],
    min_edge: int,
) -> UNetPlan | None:
    """The plan for the next smaller patch; `None` when no axis can be made shorter."""
    size = plan.patch_size
    coverage = [(edge / shape, axis) for axis, (edge, shape) in enumerate(zip(size, median_shape, strict=True))]
    for _, axis in sorted(coverage, reverse=True):  # of equal ones the last axis
        # A whole divisor may skip sizes that a shallower network allows: the step is the divisor that holds after it.
        trial = _with_edge(size, axis, max(size[axis] - plan.divisor[axis], size[axis] // 2))
        step = plan_for(trial).divisor[axis]
        for edge in range(size[axis] - step, min_edge - 1, -step):
            smaller = _padded(plan_for(_with_edge(size, axis, edge)))
            if math.prod(smaller.patch_size) < math.prod(size):  # padding may undo a step
                return smaller
    return None


def _with_edge(size: tuple[int, ...], axis: int, edge: int) -> tuple[int, ...]:
    return (*size[:axis], edge, *size[axis + 1 :])


def _padded(plan: UNetPlan) -> UNetPlan:
    return replace(plan, patch_size=plan.padded_patch_size)
