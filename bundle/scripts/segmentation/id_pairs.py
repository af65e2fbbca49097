"""Pairs of ids: which there are, and which belong together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .inputs import Array

Pairs = NDArray[np.uint64]

_HALF = 32


def unique_pairs(first: Array, second: Array) -> Pairs:
    """The pairs (first[i], second[i]), each once.

    Args:
        first, second: N ids, up to uint64.

    Returns:
        M 2, sorted by the first id, then the second.
    """
    if len(first):  # neighbouring voxels mostly hold the same pair: leave out repeats before they are sorted
        changes = np.ones(len(first), dtype=bool)
        changes[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
        first, second = first[changes], second[changes]
    keys, ids = _keys(first, second)
    return _pairs(np.unique(keys), ids)


def group_pairs(first: Array, second: Array) -> tuple[Pairs, NDArray[np.intp]]:
    """The pairs (first[i], second[i]), each once, and which of them each i is.

    Args:
        first, second: N ids, up to uint64.

    Returns:
        M 2, sorted by the first id, then the second; and N indices into it.
    """
    keys, ids = _keys(first, second)
    unique, group = np.unique(keys, return_inverse=True)
    return _pairs(unique, ids), group


def _keys(first: Array, second: Array) -> tuple[NDArray[np.uint64], NDArray[np.uint64] | None]:
    """One number per pair, in the order of the pairs; with the table of ids where they are too large to be packed."""
    both = np.concatenate([first, second]).astype(np.uint64, copy=False)
    ids = None
    if both.size and both.max() >> _HALF:
        ids, positions = np.unique(both, return_inverse=True)
        both = positions.astype(np.uint64)
    n = len(both) // 2
    return both[:n] << np.uint64(_HALF) | both[n:], ids


def _pairs(keys: NDArray[np.uint64], ids: NDArray[np.uint64] | None) -> Pairs:
    pairs = np.stack([keys >> np.uint64(_HALF), keys & np.uint64(2**_HALF - 1)], axis=1)  # N -> N 2
    return pairs if ids is None else ids[pairs]
