"""Affinities of labelled objects: whether two voxels belong to the same one.

Channel k belongs to the offset k, a whole number of steps along each axis. The affinity at voxel v is that of the edge
from v to v + offset: 1 = same object, 0 = different objects or background. Edges whose partner v + offset lies outside
the array do not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .neighbours import both_ends
from .targets import UNKNOWN_LABEL

Offsets = Sequence[Sequence[int]]


def direct_offsets(ndim: int = 3) -> tuple[tuple[int, ...], ...]:
    """Offsets to the next voxel along each axis: (1, 0, 0), (0, 1, 0), (0, 0, 1)."""
    return tuple(tuple(int(axis == other) for other in range(ndim)) for axis in range(ndim))


def check_offsets(offsets: Offsets, ndim: int) -> tuple[tuple[int, ...], ...]:
    """Return the offsets of affinities, one per channel, each with one step per axis.

    Raises:
        ValueError: when there is none, or one has another length, is 0 along all axes or not whole.
    """
    checked = tuple(tuple(int(step) for step in offset) for offset in offsets)
    faulty = [
        given
        for given, offset in zip(offsets, checked, strict=True)
        if len(offset) != ndim or not any(offset) or tuple(given) != offset
    ]
    if not checked or faulty:
        raise ValueError(
            f"offsets must hold {ndim} whole steps per channel, not all 0, such as {[0] * (ndim - 1) + [1]}; "
            f"got {list(faulty[0]) if faulty else []}"
        )
    return checked


def affinities_of(ids: NDArray[Any], known: NDArray[np.bool_] | None, offsets: Offsets) -> NDArray[np.int8]:
    """Affinities of a truth.

    Args:
        ids: whole numbers D H W or H W, 0 = background.
        known: of the same shape, where the truth is known; `None`: everywhere.
        offsets: K steps per axis, as `check_offsets` returns them.

    Returns:
        K D H W or K H W: 1 where both voxels have the same id, 0 where they have not or one is background, -1
        (unknown) where one is unknown or the partner lies outside the array.
    """
    affinities = np.full((len(offsets), *ids.shape), UNKNOWN_LABEL, dtype=np.int8)
    for channel, offset in zip(affinities, offsets, strict=True):
        here, there = both_ends(ids.shape, offset)
        same = ((ids[here] == ids[there]) & (ids[here] != 0)).astype(np.int8)
        channel[here] = same if known is None else np.where(known[here] & known[there], same, UNKNOWN_LABEL)
    return affinities
