"""nnU-Net's rule for strides and kernels."""

from __future__ import annotations

from collections.abc import Sequence

MIN_EDGE = 4
"""Voxels along an axis below which it is not halved further, unless set otherwise."""

Rows = tuple[tuple[int, ...], ...]


def plan_topology(size: Sequence[float], spacing: Sequence[float], min_edge: int = MIN_EDGE) -> tuple[Rows, Rows]:
    """Strides and kernels of every stage, full resolution first.

    An axis is halved while it has at least two minimum edges (three, if it is halved alone), and only together with
    axes of similar spacing. A kernel spans an axis as soon as the axis's spacing is less than twice the smallest, and
    the bottleneck's spans all.

    Source: nnU-Net v2 (Isensee et al. 2021).

    Args:
        size: voxels along each axis.
        spacing: physical size of a voxel along the same axes.
        min_edge: voxels along an axis below which it is not halved further.
    """
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


def smallest_patch(n_stages: int, spacing: Sequence[float]) -> tuple[int, ...]:
    """Smallest patch, divisible by its strides, for which `plan_unet` plans `n_stages` stages at this spacing."""
    n_pools = [0] * len(spacing)
    needed = [1] * len(spacing)
    for _ in range(n_stages - 1):
        current = [s * 2**n for s, n in zip(spacing, n_pools, strict=True)]
        pooled = _similar_axes(current, range(len(spacing)))
        for axis in pooled:
            # An axis halved alone must have three minimum edges, see `plan_topology`.
            edges = 3 if len(pooled) == 1 else 2
            needed[axis] = max(needed[axis], edges * MIN_EDGE * 2 ** n_pools[axis])
            n_pools[axis] += 1
    return tuple(needed)


def _similar_axes(spacing: Sequence[float], axes: Sequence[int]) -> list[int]:
    """Those of the axes whose spacing is less than twice the smallest among them."""
    return [axis for axis in axes if spacing[axis] < 2 * min(spacing[a] for a in axes)]
