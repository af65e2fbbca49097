"""Affinities: how surely two voxels belong to the same object.

Channel k belongs to the offset k, a whole number of steps along each axis. The affinity at voxel v is that of the edge
from v to v + offset: 1 = same object, 0 = different objects or background. Edges whose partner v + offset lies outside
the array do not exist; what their voxels hold is never read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.affinities import Offsets, affinities_of, check_offsets, direct_offsets
from ..geometry.neighbours import Slices, both_ends
from .inputs import check_affinities, check_labels, check_mask, check_probability, check_spatial


def labels_to_affinities(labels: Any, offsets: Offsets, known: Any = None) -> NDArray[np.int8]:
    """Affinities of a truth, as a target for training.

    Args:
        labels: ids D H W or H W, 0 = background.
        offsets: K steps per axis.
        known: boolean of the same shape, where the truth is known; `None`: everywhere.

    Returns:
        K D H W or K H W: 1 where both voxels have the same id, 0 where they have not or one is background, -1
        (unknown) where one is unknown or the partner lies outside the array.

    Raises:
        TypeError: when the labels are floats.
        ValueError: when an offset or a shape does not fit.
    """
    ids = check_labels(labels)
    seen = None if known is None else check_mask(known, ids.shape, "known")
    return affinities_of(ids, seen, check_offsets(offsets, ids.ndim))


def boundary_to_affinities(boundary: Any, offsets: Offsets | None = None) -> NDArray[np.float32]:
    """Affinities from a boundary prediction: 1 less the highest boundary on the line from voxel to partner.

    Args:
        boundary: probability D H W or H W, 1 = boundary.
        offsets: K steps per axis; `None`: the next voxel along each axis.

    Returns:
        K D H W or K H W float32; 0 where the partner lies outside the array.

    Raises:
        TypeError: when the boundary is stored as integers.
        ValueError: when the boundary is not within 0..1, or an offset does not fit.
    """
    values = check_probability(check_spatial(boundary, "boundary"), "boundary")
    steps = check_offsets(direct_offsets(values.ndim) if offsets is None else offsets, values.ndim)
    affinities = np.zeros((len(steps), *values.shape), dtype=np.float32)
    for channel, offset in zip(affinities, steps, strict=True):
        here, _ = both_ends(values.shape, offset)
        highest = values[here]
        for between in _line(offset):
            highest = np.maximum(highest, values[_moved(here, between)])
        channel[here] = 1 - highest
    return affinities


def affinities_to_boundary(affinities: Any, offsets: Offsets, *, per_slice: bool = False) -> NDArray[np.float32]:
    """Boundary map: 1 less the mean affinity of each voxel to its direct neighbours, on both sides.

    Args:
        affinities: K D H W or K H W, 0..1.
        offsets: K steps per axis; those of more than one step are left out.
        per_slice: whether only neighbours in the same z slice count, for slices that are far apart.

    Returns:
        D H W or H W float32; 0 where a voxel has no such neighbour.

    Raises:
        TypeError: when the affinities are stored as integers.
        ValueError: when they are not within 0..1, or no channel is of direct neighbours.
    """
    values, steps = check_affinities(affinities, offsets)
    shape = values.shape[1:]
    direct = [k for k, step in enumerate(steps) if sum(map(abs, step)) == 1 and not (per_slice and step[0])]
    if not direct:
        where = "direct neighbours within a slice" if per_slice else "direct neighbours"
        raise ValueError(f"no channel is of {where}: offsets are {[list(step) for step in steps]}")
    total, count = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    for k in direct:
        ends = both_ends(shape, steps[k])
        for end in ends:
            total[end] += values[k][ends[0]]
            count[end] += 1
    return np.where(count > 0, 1 - total / np.maximum(count, 1), 0).clip(0, 1)


def _line(offset: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The steps from a voxel to its partner in a straight line, the last one being the offset itself."""
    longest = max(map(abs, offset))
    return [tuple(round(i * step / longest) for step in offset) for i in range(1, longest + 1)]


def _moved(box: Slices, step: tuple[int, ...]) -> Slices:
    return tuple(slice(s.start + n, s.stop + n) for s, n in zip(box, step, strict=True))
