"""Mutex watershed: fragments from attractive and repulsive affinities, without threshold or seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..geometry.neighbours import both_ends
from .affinities import Offsets
from .inputs import Array, check_affinities, check_mask
from .relabelling import in_order_of_first


def mutex_watershed(
    affinities: Any,
    offsets: Offsets,
    *,
    attractive: Sequence[bool] | None = None,
    strides: Sequence[int] | None = None,
    mask: Any = None,
) -> tuple[Array, int]:
    """Partition an array by attractive and repulsive edges, strongest first (Wolf et al. 2018).

    An attractive edge (weight a) merges its ends unless something forbids it; a repulsive edge (weight 1 - a) forbids
    that its ends are ever merged. A boundary of long-range affinities that is closed parts objects even where
    the direct affinities have a gap. Edges of the same weight are taken in an arbitrary order that is always the same.

    Args:
        affinities: K D H W or K H W, 0..1.
        offsets: K steps per axis.
        attractive: for each channel whether its edges attract; `None`: those to direct neighbours do, longer ones
            repel.
        strides: every how many voxels along each axis a repulsive edge is taken, which saves time and parts less;
            `None`: every voxel.
        mask: boolean D H W or H W, where there may be objects; `None`: everywhere.

    Returns:
        labels 1..n in the order of the objects' first voxels, in the smallest unsigned dtype; and n. A voxel that
        nothing attracts is an object by itself.

    Raises:
        ImportError: when mwatershed is not installed.
        TypeError: when affinities are integers.
        ValueError: when a shape differs, or the affinities are not within 0..1.
    """
    try:
        import mwatershed
    except ImportError as error:
        raise ImportError(
            "the mutex watershed needs mwatershed; install it by: pip install 'polytome[instances]'"
        ) from error
    values, steps = check_affinities(affinities, offsets)
    shape = values.shape[1:]
    pull, repelling = _attractive(steps, attractive), _strides(strides, len(shape))
    inside = np.ones(shape, dtype=bool) if mask is None else check_mask(mask, shape)
    if not inside.any():
        return np.zeros(shape, np.uint8), 0
    weights = np.zeros(values.shape, dtype=np.float64)  # above 0 attracts, below 0 repels
    for k, offset in enumerate(steps):
        here, there = both_ends(shape, offset)
        if pull[k]:  # what nothing attracts takes no part, so the mask is set here only
            weights[k][here] = np.where(inside[here] & inside[there], values[k][here], 0)
        else:
            weights[k][here] = values[k][here].astype(np.float64) - 1
    fits = [all(abs(step) < n for step, n in zip(offset, shape, strict=True)) for offset in steps]  # others panic
    strides_used = [[1] * len(shape) if pulls else repelling for pulls in pull]
    labels = mwatershed.agglom(
        weights[fits],
        [list(offset) for offset, whole in zip(steps, fits, strict=True) if whole],
        strides=[stride for stride, whole in zip(strides_used, fits, strict=True) if whole],
    )
    alone = labels.size + np.arange(labels.size).reshape(shape)  # mwatershed leaves single voxels at 0
    objects = np.where(inside, np.where(labels > 0, labels.astype(np.int64), alone), 0)
    dense = np.unique(objects, return_inverse=True)[1].reshape(shape) + int(inside.all())
    n = int(dense.max())
    return in_order_of_first(dense, n)[dense], n


def _attractive(offsets: tuple[tuple[int, ...], ...], given: Sequence[bool] | None) -> list[bool]:
    if given is None:
        return [sum(map(abs, offset)) == 1 for offset in offsets]
    if len(given) != len(offsets):
        raise ValueError(f"attractive must hold one value per offset, {len(offsets)}; got {list(given)}")
    return [bool(value) for value in given]


def _strides(strides: Sequence[int] | None, ndim: int) -> list[int]:
    if strides is None:
        return [1] * ndim
    if len(strides) != ndim or not all(isinstance(step, (int, np.integer)) and step >= 1 for step in strides):
        raise ValueError(f"strides must hold {ndim} whole numbers from 1 on, got {list(strides)}")
    return [int(step) for step in strides]
