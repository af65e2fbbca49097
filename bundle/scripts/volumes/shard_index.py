"""Which chunks a shard of a zarr v3 array holds, from its index alone."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np
import zarr
from zarr.abc.store import ByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from .errors import EmptyObjectError, corrupt_chunk
from .source import Box
from .stores import open_store

_ABSENT = np.iinfo(np.uint64).max
_CHECKSUM_BYTES = 4
_AT_ONCE = 64


@dataclass(frozen=True)
class ShardIndex:
    """Where the shards of an array keep their index, and for which grid of chunks.

    The index is an array of shape (chunks along each axis, 2) of little-endian 64-bit numbers, offset and length of
    every chunk, both of them the greatest number for a chunk that is absent; its CRC32C follows.

    Args:
        shard_shape: voxels along each axis of a shard.
        chunk_shape: voxels along each axis of a chunk within.
        at_end: whether the index is behind the chunks, else before them.
    """

    shard_shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    at_end: bool

    @classmethod
    def of(cls, array: zarr.Array[Any]) -> ShardIndex | None:
        """The index of an array; `None` for an array without shards, or whose index is stored in another way."""
        codecs: Any = getattr(array.metadata, "codecs", ())
        if array.shards is None or len(codecs) != 1 or not isinstance(codecs[0], ShardingCodec):
            return None
        if list(codecs[0].index_codecs) != [BytesCodec(endian="little"), Crc32cCodec()]:
            return None
        return cls(tuple(array.shards), tuple(array.chunks), codecs[0].index_location.value == "end")

    def boxes(self, path: str, keys: Sequence[str], starts: Sequence[tuple[int, ...]]) -> list[Box]:
        """Boxes of the chunks that shards hold; shards that are gone hold none.

        Args:
            path: folder or URL of the array.
            keys: of the shards.
            starts: first voxel of each shard.

        Raises:
            CorruptChunkError: for an index that is cut short, or whose checksum differs.
        """
        boxes: list[Box] = []
        for at in range(0, len(keys), _AT_ONCE):
            contents = sync(self._read(path, keys[at : at + _AT_ONCE]))
            for key, start, content in zip(keys[at:], starts[at:], contents, strict=False):
                if content is None:
                    continue
                try:
                    held = self._held(content)
                except ValueError as error:
                    stop = [low + n for low, n in zip(start, self.shard_shape, strict=True)]
                    raise corrupt_chunk(path, key, start, stop, error) from error
                corners = held * self.chunk_shape + start
                boxes += [(tuple(corner), self.chunk_shape) for corner in corners.tolist()]
        return boxes

    @property
    def _grid(self) -> tuple[int, ...]:
        return tuple(s // c for s, c in zip(self.shard_shape, self.chunk_shape, strict=True))

    @property
    def _bytes(self) -> int:
        return 16 * math.prod(self._grid) + _CHECKSUM_BYTES

    async def _read(self, path: str, keys: Sequence[str]) -> list[bytes | None]:
        store = open_store(path)
        request: ByteRequest = SuffixByteRequest(self._bytes) if self.at_end else RangeByteRequest(0, self._bytes)

        async def read_one(key: str) -> bytes | None:
            try:
                content = await store.get(key, prototype=default_buffer_prototype(), byte_range=request)
            except EmptyObjectError:
                return b""
            if content is None:
                return None
            # a server that does not know ranges sends the whole shard
            return content.to_bytes()[-self._bytes :] if self.at_end else content.to_bytes()[: self._bytes]

        return await asyncio.gather(*(read_one(key) for key in keys))

    def _held(self, content: bytes) -> np.ndarray:
        """Grid index of every chunk that is there: chunks x axes."""
        if len(content) != self._bytes:
            raise ValueError(f"the shard's index has {len(content)} bytes, expected {self._bytes}")
        index, stored = content[:-_CHECKSUM_BYTES], int.from_bytes(content[-_CHECKSUM_BYTES:], "little")
        computed = google_crc32c.value(index)
        if computed != stored:
            raise ValueError(f"the checksum of the shard's index is {computed:#010x}, stored is {stored:#010x}")
        entries = np.frombuffer(index, "<u8").reshape(*self._grid, 2)  # chunks along each axis, (offset, length)
        return np.argwhere((entries != _ABSENT).any(axis=-1))
