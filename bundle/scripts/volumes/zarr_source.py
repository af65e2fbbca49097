"""Zarr arrays, versions 2 and 3, through zarr-python; local folders and URLs."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from .errors import corrupt_chunk
from .source import ArraySource, Box
from .stores import list_keys, open_store

_METADATA_KEYS = ("zarr.json", ".zarray", ".zattrs")


class ZarrSource(ArraySource):
    """One zarr array.

    A chunk of a sharded array is the unit of reading; what the store lists are its shards.

    Args:
        path: folder or URL of the array itself.
        array: the array where it is open already.
    """

    def __init__(self, path: str, array: zarr.Array | None = None) -> None:
        super().__init__(path)
        array = self.open_handle() if array is None else array
        self._handle, self._handle_owner = array, os.getpid()
        self.shape = tuple(int(n) for n in array.shape)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{path}: the array holds {array.dtype}; expected bool, integers or floats")
        self.dtype = np.dtype(array.dtype).newbyteorder("=")
        self.chunks = tuple(int(n) for n in array.chunks)
        self.stored_size = tuple(int(n) for n in array.shards or array.chunks)
        self.fill_value = 0 if array.fill_value is None else np.asarray(array.fill_value).item()
        self.key_prefix, self.key_separator = _key_encoding(array)

    def open_handle(self) -> zarr.Array:
        return zarr.open_array(open_store(self.path), mode="r")

    def read(self, selection: tuple[slice, ...]) -> np.ndarray:
        try:
            return self._read(selection)
        except MemoryError:
            raise
        except Exception as error:
            self._blame_chunk(selection)
            raise OSError(f"{self.path}: reading failed: {type(error).__name__}: {error}") from error

    def stored_boxes(self) -> list[Box]:
        return [
            (tuple(i * n for i, n in zip(index, self.stored_size, strict=True)), self.stored_size)
            for index, _ in self._stored_keys(with_status=False)
        ]

    def signature(self) -> Iterator[str]:
        """Metadata as stored, and every chunk's key; local stores add its size and time of change."""
        for key in _METADATA_KEYS:
            content = sync(self.handle.store_path.store.get(key, prototype=default_buffer_prototype()))
            yield f"{key} {'' if content is None else content.to_bytes().decode()}"
        for index, status in sorted(self._stored_keys(with_status=True)):
            yield f"{index} {status}"

    def _read(self, selection: tuple[slice, ...]) -> np.ndarray:
        block = cast(np.ndarray, self.handle[selection])
        return block.astype(self.dtype, copy=False)

    def _stored_keys(self, *, with_status: bool) -> Iterator[tuple[tuple[int, ...], str]]:
        """Grid index of every stored chunk (shard), found by listing the store, never by asking for each."""
        separator = re.escape(self.key_separator)
        pattern = re.compile(re.escape(self.key_prefix) + separator.join([r"(\d+)"] * len(self.shape)))
        for key, status in list_keys(self.path, with_status=with_status):
            match = pattern.fullmatch(key)
            if match is not None:
                yield tuple(int(n) for n in match.groups()), status

    def _blame_chunk(self, selection: tuple[slice, ...]) -> None:
        """Read chunk by chunk what failed as a whole, and raise for the first bad one."""
        ranges = [range(s.start // n, -(-s.stop // n)) for s, n in zip(selection, self.chunks, strict=True)]
        for index in itertools.product(*ranges):
            start = [i * n for i, n in zip(index, self.chunks, strict=True)]
            stop = [min(low + n, size) for low, n, size in zip(start, self.chunks, self.shape, strict=True)]
            try:
                self._read(tuple(map(slice, start, stop)))
            except Exception as error:
                stored = (str(low // n) for low, n in zip(start, self.stored_size, strict=True))
                key = self.key_prefix + self.key_separator.join(stored)
                raise corrupt_chunk(self.path, key, start, stop, error) from error


def _key_encoding(array: zarr.Array) -> tuple[str, str]:
    """What stands before and between the numbers of a chunk key."""
    metadata: Any = array.metadata
    if metadata.zarr_format == 2:
        return "", metadata.dimension_separator
    encoding = metadata.chunk_key_encoding
    return ("c" + encoding.separator if encoding.name == "default" else ""), encoding.separator
