"""Decoded chunks that are kept in memory: one cache, with one byte limit, for all zarr volumes of a process."""

from __future__ import annotations

import itertools
import math
import numbers
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

import numpy as np

Selection = tuple[slice, ...]


class ChunkCache:
    """Chunks, the least recently used of which leave when more bytes would be held than allowed; threads may share it.

    Args:
        limit_bytes: most bytes of voxels to hold; 0 holds nothing.
    """

    def __init__(self, limit_bytes: int = 0) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._chunks: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def resize(self, limit_bytes: int) -> None:
        """Change the limit; chunks beyond it leave at once."""
        with self._lock:
            self.limit_bytes = limit_bytes
            self._evict()

    def find(self, keys: Sequence[Hashable]) -> list[np.ndarray | None]:
        """The chunk of each key, `None` where it is not held. They must not be changed."""
        with self._lock:
            found = [self._chunks.get(key) for key in keys]
            for key, chunk in zip(keys, found, strict=True):
                if chunk is not None:
                    self._chunks.move_to_end(key)
        return found

    def add(self, key: Hashable, chunk: np.ndarray) -> None:
        """Hold a chunk, in place of one that has the same key."""
        with self._lock:
            self.held_bytes += chunk.nbytes - getattr(self._chunks.pop(key, None), "nbytes", 0)
            self._chunks[key] = chunk
            self._evict()

    def _evict(self) -> None:
        while self.held_bytes > self.limit_bytes:
            self.held_bytes -= self._chunks.popitem(last=False)[1].nbytes


_cache = ChunkCache()


def chunk_cache() -> ChunkCache:
    """The cache of this process."""
    return _cache


def set_chunk_cache(limit_bytes: int) -> None:
    """Keep decoded chunks of zarr volumes in memory, so that overlapping boxes do not decode them again.

    The limit is that of this process and of all its volumes together; the last call counts. A worker process starts
    without cache. A volume that is opened anew does not see what was cached before, so that it shows what is stored.

    Args:
        limit_bytes: most bytes of decoded voxels to hold; 0, with which every process starts, turns the cache off
            and frees it.

    Raises:
        ValueError: for a limit that is no whole number of at least 0.
    """
    if limit_bytes == _cache.limit_bytes:  # called with every sample
        return
    is_number = isinstance(limit_bytes, numbers.Real) and not isinstance(limit_bytes, bool)
    if not is_number or limit_bytes < 0 or limit_bytes % 1:
        raise ValueError(f"limit_bytes = {limit_bytes!r}: expected a whole number of bytes, 0 for no cache")
    _cache.resize(int(limit_bytes))


def read_through(
    cache: ChunkCache,
    owner: Hashable,
    selection: Selection,
    *,
    shape: Sequence[int],
    chunks: Sequence[int],
    dtype: np.dtype,
    read_boxes: Callable[[list[Selection]], list[np.ndarray]],
) -> np.ndarray | None:
    """Read a box from cached chunks, and those that are missing from the store, whole.

    Args:
        cache: where chunks are kept.
        owner: distinguishes arrays within the cache.
        selection: the box, one slice per axis.
        shape: of the array.
        chunks: shape of a chunk.
        dtype: of the voxels.
        read_boxes: reads several boxes of the array.

    Returns:
        The box in memory of its own; `None` where its chunks together exceed the limit, since they would push out each
        other.
    """
    axes = [_pieces(s.start, s.stop, n) for s, n in zip(selection, chunks, strict=True)]
    touched = math.prod(len(numbers) * n for (numbers, _, _), n in zip(axes, chunks, strict=True))
    if touched * dtype.itemsize > cache.limit_bytes:
        return None
    keys = [(owner, index) for index in itertools.product(*(numbers for numbers, _, _ in axes))]
    held = {key: chunk for key, chunk in zip(keys, cache.find(keys), strict=True) if chunk is not None}
    missing = [key for key in keys if key not in held]
    if missing:
        fresh = read_boxes([_chunk_box(index, chunks, shape) for _, index in missing])
        for key, chunk in zip(missing, fresh, strict=True):
            held[key] = chunk
            cache.add(key, chunk)
    block = np.empty([s.stop - s.start for s in selection], dtype)
    sources = itertools.product(*(sources for _, sources, _ in axes))
    targets = itertools.product(*(targets for _, _, targets in axes))
    for key, source, target in zip(keys, sources, targets, strict=True):
        block[target] = held[key][source]
    return block


def _pieces(low: int, high: int, length: int) -> tuple[range, list[slice], list[slice]]:
    """Of the chunks that an interval touches: numbers, the parts within the chunks, and these within the interval."""
    numbers = range(low // length, -(-high // length))
    spans = [(max(low, i * length), min(high, i * length + length)) for i in numbers]
    sources = [slice(first - i * length, last - i * length) for i, (first, last) in zip(numbers, spans, strict=True)]
    return numbers, sources, [slice(first - low, last - low) for first, last in spans]


def _chunk_box(index: Sequence[int], chunks: Sequence[int], shape: Sequence[int]) -> Selection:
    return tuple(slice(i * n, min(i * n + n, size)) for i, n, size in zip(index, chunks, shape, strict=True))


def _renew_lock() -> None:
    """A thread of the parent may hold the lock at the moment of a fork, and does not exist in the child."""
    _cache._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
