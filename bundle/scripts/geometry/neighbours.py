"""Pairs of neighbouring voxels of an array, without a loop over voxels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

Slices = tuple[slice, ...]


def half_neighbourhood(ndim: int, connectivity: int) -> list[tuple[int, ...]]:
    """Offsets to one of each two opposite neighbours, so that every pair of neighbours is met once.

    Args:
        ndim: number of axes.
        connectivity: along how many axes neighbours may differ.
    """
    steps = itertools.product((-1, 0, 1), repeat=ndim)
    return [step for step in steps if step > (0,) * ndim and sum(map(abs, step)) <= connectivity]


def both_ends(shape: Sequence[int], offset: Sequence[int]) -> tuple[Slices, Slices]:
    """Where the voxels v lie whose partner v + offset is in the array, too, and where the partners lie.

    Args:
        shape: of the array.
        offset: whole steps, one per axis.

    Returns:
        two boxes of the same size, as slices; empty where the offset leaves the array.
    """
    first = tuple(slice(min(max(-step, 0), n), max(n - max(step, 0), 0)) for n, step in zip(shape, offset, strict=True))
    second = tuple(slice(min(max(step, 0), n), max(n + min(step, 0), 0)) for n, step in zip(shape, offset, strict=True))
    return first, second
