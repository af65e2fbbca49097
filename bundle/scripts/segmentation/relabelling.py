"""Other ids for the same objects."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .inputs import Array, check_labels

_LONGEST_TABLE = 1 << 22
"""Entries that a table of ids may have, whatever the size of the array: some 40 MB."""


def smallest_dtype(highest: int) -> np.dtype[Any]:
    """The smallest unsigned dtype that holds 0..highest, so that ids never wrap."""
    return np.dtype(np.min_scalar_type(int(highest)).str)  # of two names for 64 bits the one that zarr knows


def dense_ids(labels: Any) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The ids of an array, and the array with their positions.

    Args:
        labels: ids D H W or H W, up to uint64; 0 = background.

    Returns:
        the n ids, ascending, without 0; and an array of 0 (background) and 1..n.

    Raises:
        TypeError: when the labels are floats.
    """
    array = check_labels(labels)
    if not array.any():
        return np.zeros(0, np.uint64), np.zeros(array.shape, np.int64)
    below, span = _span(array)
    if span > max(array.size, _LONGEST_TABLE):
        values, positions = np.unique(array, return_inverse=True)
        has_background = int(values[0] == 0)
        return values[has_background:].astype(np.uint64), positions.reshape(array.shape) + (1 - has_background)
    shifted = _shifted(array, below)
    present = np.zeros(span + 1, dtype=bool)
    present[shifted] = True
    present[0] = False
    numbers = np.cumsum(present, dtype=np.int64)
    return np.flatnonzero(present).astype(np.uint64) + np.uint64(below), numbers[shifted]


def relabel(labels: Any, ids: Any, new_ids: Any, *, keep_others: bool = False) -> Array:
    """Give objects other ids.

    Args:
        labels: ids D H W or H W, up to uint64; 0 stays 0.
        ids: N different ids.
        new_ids: N ids; the same one for several objects joins them, 0 removes an object.
        keep_others: whether ids that are not listed stay as they are; otherwise they become 0.

    Returns:
        new array, in the smallest unsigned dtype that holds the largest new id (and the largest that stays).

    Raises:
        TypeError: when labels or ids are floats.
        ValueError: when there are not as many new ids as ids, or an id is listed twice.
    """
    array = check_labels(labels)
    old, new = _whole(ids, "ids"), _whole(new_ids, "new_ids")
    if len(old) != len(new):
        raise ValueError(f"there must be one new id per id, got {len(new)} new ids for {len(old)} ids")
    order = np.argsort(old)
    old, new = old[order], new[order]
    twice = old[1:][old[1:] == old[:-1]]
    if len(twice):
        raise ValueError(f"an id must be listed once, but {twice[0]} is listed twice")
    present, positions = dense_ids(array)
    table = np.insert(look_up(present, old, new, keep_others=keep_others), 0, 0)
    highest = max(int(table.max()), int(new.max(initial=0)))  # the blocks of a volume get the same dtype
    return table.astype(smallest_dtype(highest))[positions]


def relabel_sequential(labels: Any) -> tuple[Array, NDArray[np.uint64]]:
    """Number the objects 1..n in the order of their ids.

    Args:
        labels: ids D H W or H W, up to uint64; 0 = background.

    Returns:
        labels in the smallest unsigned dtype that holds n; and the n old ids, so that `ids[label - 1]` leads back.

    Raises:
        TypeError: when the labels are floats.
    """
    ids, positions = dense_ids(labels)
    return positions.astype(smallest_dtype(len(ids))), ids


def look_up(ids: Array, known: Array, values: Array, *, keep_others: bool = True) -> Array:
    """The value of each id.

    Args:
        ids: uint64 of any shape.
        known: N ids, ascending.
        values: N values, uint64.
        keep_others: whether an id that is not known is its own value; otherwise its value is 0.
    """
    others = ids if keep_others else np.zeros_like(ids)
    if not len(known):
        return others
    place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.where(known[place] == ids, values[place], others)


def in_order_of_first(labels: Array, n: int) -> Array:
    """Table of n + 1 that renumbers 1..n in the order in which they come first; 0 stays 0.

    Args:
        labels: of any shape, values 0..n, each of 1..n at least once.
        n: number of labels.
    """
    flat = labels.ravel()
    first = np.zeros(n + 1, dtype=np.int64)
    first[flat[::-1]] = np.arange(flat.size - 1, -1, -1)  # of several positions the last one stays: the first voxel
    table = np.zeros(n + 1, dtype=smallest_dtype(n))
    table[np.argsort(first[1:]) + 1] = np.arange(1, n + 1)
    return table


def _whole(ids: Any, name: str) -> NDArray[np.uint64]:
    array = np.asarray(ids)
    if array.size and (array.dtype.kind not in "iu" or array.min() < 0):
        raise TypeError(f"{name} must be whole numbers from 0 on, got {array.dtype} {array.ravel()[:3].tolist()}")
    return array.astype(np.uint64).ravel()


def _span(array: Array) -> tuple[int, int]:
    """The number below the smallest id, and how many numbers lie from there to the largest id."""
    highest = int(array.max())
    below = int(array.min(where=array > 0, initial=highest)) - 1
    return below, highest - below


def _shifted(array: Array, below: int) -> NDArray[np.int64]:
    """Ids less `below`, 0 for the background, as indices of a table."""
    if not below:
        return array.astype(np.int64)
    return np.where(array > 0, array - array.dtype.type(below), 0).astype(np.int64)
