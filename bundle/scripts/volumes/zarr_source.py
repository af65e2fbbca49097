"""Zarr arrays, versions 2 and 3, through zarr-python; local folders and URLs."""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import math
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from .array_sizes import check_sizes
from .bounded_codecs import bounded
from .chunk_cache import Selection, chunk_cache, read_through
from .errors import CannotListError, RemoteError, StalledError, corrupt_chunk, require_access
from .paths import is_url
from .shard_index import ShardIndex
from .source import ArraySource, Box, box_name
from .stores import ask_keys, list_keys, open_store
from .zarr_nodes import open_array

logger = logging.getLogger(__name__)

_METADATA_KEYS = ("zarr.json", ".zarray", ".zattrs")

_MOST_UNLISTED = 20_000
"""Most chunks of an array whose server cannot list them."""


class ZarrSource(ArraySource):
    """One zarr array.

    A chunk of a sharded array is the unit of reading; what the store lists are its shards.

    Args:
        path: folder or URL of the array itself.
        array: the array where it is open already.
    """

    def __init__(self, path: str, array: zarr.Array[Any] | None = None) -> None:
        super().__init__(path)
        array = self.open_array() if array is None else array
        self._handle, self._handle_owner = bounded(array), os.getpid()
        self.shape = tuple(int(n) for n in array.shape)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{path}: the array holds {array.dtype}; expected bool, integers or floats")
        self.dtype = np.dtype(array.dtype).newbyteorder("=")
        self.chunks = tuple(int(n) for n in array.chunks)
        self.stored_size = tuple(int(n) for n in array.shards or array.chunks)
        check_sizes(path, self.shape, self.chunks, self.dtype, self.stored_size)
        self.fill_value = 0 if array.fill_value is None else np.asarray(array.fill_value).item()
        self.key_prefix, self.key_separator = _key_encoding(array)
        self.shard_index = ShardIndex.of(array)
        self._documents = ("zarr.json",) if array.metadata.zarr_format == 3 else (".zarray",)
        self._cache_owner = object()  # another one in every copy

    def open_array(self) -> zarr.Array[Any]:
        """Open the array with zarr-python."""
        return bounded(open_array(self.path))

    def open_handle(self) -> Any:
        return self.open_array()

    def read(self, selection: Selection) -> np.ndarray:
        try:
            cache, block = chunk_cache(), None
            if cache.limit_bytes:
                block = read_through(
                    cache,
                    self._cache_owner,
                    selection,
                    shape=self.shape,
                    chunks=self.chunks,
                    dtype=self.dtype,
                    read_boxes=self._decode_boxes,
                )
            if block is None:
                block = self._read(selection)
                self.decoded.add(self.touched_bytes(selection))
        except StalledError as error:
            raise StalledError(f"{self.path}: {box_name(selection)}: {error}") from error
        except (MemoryError, RemoteError):
            raise
        except Exception as error:
            self._require_present(selection)
            self._blame_chunk(selection)
            raise OSError(f"{self.path}: reading failed: {type(error).__name__}: {error}") from error
        self._require_present(selection, block)
        return block

    def read_boxes(self, selections: list[Selection]) -> list[np.ndarray]:
        """Read several boxes at once."""
        array = self.handle.async_array

        async def read_all() -> list[Any]:
            return await asyncio.gather(*(array.getitem(selection) for selection in selections))

        return [np.asarray(block, self.dtype) for block in sync(read_all())]

    def stored_boxes(self, *, inside_shards: bool = False) -> list[Box]:
        """Boxes of the chunks (shards) that are stored.

        Args:
            inside_shards: for a sharded array, the chunks that the shards hold, as their indices say.

        Raises:
            CorruptChunkError: for a shard whose index is damaged.
        """
        try:
            indices = [index for index, _ in self._stored_keys(with_status=False)]
        except CannotListError as error:
            indices = self._every_index(error)
        stored = [
            (tuple(i * n for i, n in zip(index, self.stored_size, strict=True)), self.stored_size) for index in indices
        ]
        if not inside_shards or self.shard_index is None:
            return stored
        keys = [self._key_of(start) for start, _ in stored]
        return self.shard_index.boxes(self.path, keys, [start for start, _ in stored])

    def signature(self) -> Iterator[str]:
        """Metadata as stored, and every chunk's key, size and checksum or time of change."""
        store = open_store(self.path)
        for key in _METADATA_KEYS:
            content = sync(store.get(key, prototype=default_buffer_prototype()))
            yield f"{key} {'' if content is None else content.to_bytes().decode()}"
        try:
            stored = sorted(self._stored_keys(with_status=True))
        except CannotListError as error:
            stored = self._asked_keys(error)
        for index, status in stored:
            yield f"{index} {status}"

    def _decode_boxes(self, selections: list[Selection]) -> list[np.ndarray]:
        blocks = self.read_boxes(selections)
        self.decoded.add(sum(block.nbytes for block in blocks))
        return blocks

    def _read(self, selection: Selection) -> np.ndarray:
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

    def _asked_keys(self, error: CannotListError) -> list[tuple[tuple[int, ...], str]]:
        """What `_stored_keys` gives, of a server that cannot list; nothing where there are too many chunks to ask."""
        try:
            indices = self._every_index(error)
        except CannotListError:
            return []  # then changed voxels go unnoticed
        keys = {self._key_of(i * n for i, n in zip(index, self.stored_size, strict=True)): index for index in indices}
        return [(keys[key], status) for key, status in ask_keys(self.path, keys)]

    def _every_index(self, error: CannotListError) -> list[tuple[int, ...]]:
        """All chunks of an array of few chunks, whose server cannot say which are stored."""
        counts = [-(-extent // n) for extent, n in zip(self.shape, self.stored_size, strict=True)]
        if math.prod(counts) > _MOST_UNLISTED:
            raise error
        logger.warning("%s; all of its %d chunks are taken to be there", error, math.prod(counts))
        return list(itertools.product(*map(range, counts)))

    def _key_of(self, start: Iterable[int]) -> str:
        """Key of the stored chunk (shard) that holds a voxel."""
        index = (str(low // n) for low, n in zip(start, self.stored_size, strict=True))
        return self.key_prefix + self.key_separator.join(index)

    def _blame_chunk(self, selection: Selection) -> None:
        """Read chunk by chunk what failed as a whole, and raise for the first bad one."""
        ranges = [range(s.start // n, -(-s.stop // n)) for s, n in zip(selection, self.chunks, strict=True)]
        for index in itertools.product(*ranges):
            start = [i * n for i, n in zip(index, self.chunks, strict=True)]
            stop = [min(low + n, size) for low, n, size in zip(start, self.chunks, self.shape, strict=True)]
            try:
                self._read(tuple(map(slice, start, stop)))
            except (MemoryError, RemoteError, StalledError):
                raise
            except Exception as error:
                key = self._key_of(start)
                if not is_url(self.path):
                    require_access(Path(self.path, key), f"{self.path}: chunk '{key}'", error)
                raise corrupt_chunk(self.path, key, start, stop, error) from error

    def _require_present(self, selection: Selection, block: np.ndarray | None = None) -> None:
        """Check that the array is still there: where it is gone, its chunks read as if they had never been stored.

        On a server only a box that holds nothing is doubted.

        Args:
            selection: the box.
            block: what was read.

        Raises:
            FileNotFoundError: where the metadata are gone.
        """
        if not is_url(self.path):
            is_there = any(os.path.exists(f"{self.path}/{name}") for name in self._documents)  # noqa: PTH110 - quickly
        elif block is None or not _is_filled(block, self.fill_value):
            return
        else:
            store = open_store(self.path)
            is_there = any(sync(store.exists(name)) for name in self._documents)
        if not is_there:
            raise FileNotFoundError(
                errno.ENOENT,
                f"{self.path} is gone: it was there when it was opened, and is not any more, "
                f"while {box_name(selection)} are read",
            )


def _is_filled(block: np.ndarray, fill_value: Any) -> bool:
    """Whether an array holds a value alone."""
    return bool((block == fill_value).all() if fill_value == fill_value else np.isnan(block).all())


def _key_encoding(array: zarr.Array[Any]) -> tuple[str, str]:
    """What stands before and between the numbers of a chunk key."""
    metadata: Any = array.metadata
    if metadata.zarr_format == 2:
        return "", metadata.dimension_separator
    encoding = metadata.chunk_key_encoding
    return ("c" + encoding.separator if encoding.name == "default" else ""), encoding.separator
