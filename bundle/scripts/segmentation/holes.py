"""Holes of objects: background that one object encloses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.neighbours import both_ends, half_neighbourhood
from .id_pairs import Pairs, unique_pairs
from .inputs import Array, check_connectivity, check_labels, check_same_shape
from .labelling import label_components
from .objects import ObjectTable, object_table


def fill_holes(labels: Any, max_size: int | None = None, connectivity: int = 1) -> Array:
    """Give holes the id of the object that encloses them.

    A hole is a connected component of the background that does not reach the array's border and has one single object
    for a neighbour; an axis of one voxel has no border. Background between several objects stays background.

    Args:
        labels: mask or ids D H W or H W, 0 = background.
        max_size: voxels that a hole may have; `None`: any number.
        connectivity: of the background: 1, 2 or 3 (6, 18 or 26 neighbours).

    Returns:
        new array of the same dtype.

    Raises:
        TypeError: when the labels are floats.
        ValueError: when the connectivity is not known.
    """
    ids = check_labels(labels)
    components, n = label_components(ids == 0, connectivity)
    filled, enclosing = holes_to_fill(object_table(components), contacts(components, ids, connectivity), max_size)
    table = np.zeros(n + 1, dtype=ids.dtype)
    table[filled.astype(np.int64)] = enclosing.astype(ids.dtype)
    return np.where(ids == 0, table[components], ids).astype(np.asarray(labels).dtype)


def contacts(components: Any, labels: Any, connectivity: int = 1) -> Pairs:
    """Which components touch which objects.

    For one block of a volume, `labels` needs one voxel beyond the block on every side that is not the volume's border,
    and `components` is 0 there. The contacts of the volume are the unique pairs of all its blocks.

    Args:
        components, labels: ids D H W or H W of the same shape; 0 = none.
        connectivity: along how many axes neighbours may differ.

    Returns:
        N 2, each pair once: an id of `components` and one of `labels`.

    Raises:
        TypeError: when ids are floats.
        ValueError: when the shapes differ or the connectivity is not known.
    """
    here, there = check_labels(components, "components"), check_labels(labels)
    check_same_shape(there.shape, here.shape, "labels")
    first, second = [], []
    for offset in half_neighbourhood(here.ndim, check_connectivity(connectivity, here.ndim)):
        ends = both_ends(here.shape, offset)
        for own, other in (ends, ends[::-1]):
            touching = (here[own] != 0) & (there[other] != 0)
            first.append(here[own][touching])
            second.append(there[other][touching])
    return unique_pairs(np.concatenate(first), np.concatenate(second))


def holes_to_fill(
    background: ObjectTable, pairs: Pairs, max_size: int | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Which components of the background are holes, and whose.

    Args:
        background: table of the components of the background.
        pairs: N 2 from `contacts`: a component, an object.
        max_size: voxels that a hole may have; `None`: any number.

    Returns:
        the ids of the holes, ascending; and the id of the object that encloses each.

    Raises:
        ValueError: when `max_size` is below 0.
    """
    if max_size is not None and max_size < 0:
        raise ValueError(f"max_size must be a number of voxels from 0 on, or None; got {max_size!r}")
    closed = ~background.touches_border
    if max_size is not None:
        closed &= background.sizes <= max_size
    component, position, count = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    enclosed = (count == 1) & np.isin(component, background.ids[closed])
    return component[enclosed], pairs[position[enclosed], 1]
