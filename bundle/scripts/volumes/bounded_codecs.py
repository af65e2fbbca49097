"""Chunks that would expand to far more than their array says: refused before they are decompressed.

Compressors write how much they make of a chunk, or can be counted while they are at work. A few kilobytes of zstd can
make gigabytes; tensorstore stops where a chunk should end, zarr-python has it all decompressed before it looks. Here it
is given codecs that look first.
"""

from __future__ import annotations

import bz2
import lzma
import math
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import zarr
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, GzipCodec, ShardingCodec, ZstdCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer

from .array_sizes import MOST_EXPANSION

_SLACK = 16
"""Times the bytes of a chunk to which it may expand: filters of version 2 may store wider numbers than they give."""

_SMALL = 2**20
"""What is always allowed: of zstd without a stated size only the number of blocks is known."""

_UNCHECKED_BYTES = 2**26
"""What deflate cannot expand beyond this is not looked at."""

_ZSTD_MAGIC, _ZSTD_SKIPPED = 0xFD2FB528, 0x184D2A50
_ZSTD_BLOCK = 2**17
_PIECE = 2**20

_KINDS = {BloscCodec: "blosc", GzipCodec: "gzip", ZstdCodec: "zstd"}


def bounded(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """The same array, whose compressed chunks are looked at before they are decompressed."""
    metadata: Any = array.metadata
    if metadata.zarr_format == 3:
        changed = replace(metadata, codecs=tuple(_bounded_codecs(metadata.codecs)))
    elif metadata.compressor is None:
        return array
    else:
        limit = _limit(array.chunks, array.dtype)
        changed = replace(metadata, compressor=_BoundedCompressor(metadata.compressor, limit))
    return zarr.Array(zarr.AsyncArray(metadata=changed, store_path=array.store_path))


def check_expansion_of_chunk(kind: str, content: bytes, limit: int) -> None:
    """Refuse a compressed chunk that expands to more than a number of bytes.

    Args:
        kind: name of the compressor; any other than `SIZES` is not looked at.
        content: compressed.
        limit: bytes.

    Raises:
        ValueError: with the number.
    """
    measure = SIZES.get(kind)
    size = 0 if measure is None else measure(content, limit)
    if size > limit:
        raise ValueError(f"its {len(content):,} bytes of {kind} expand to {size:,} or more, expected at most {limit:,}")


def _of_blosc(content: bytes, limit: int) -> int:
    """The header's second number."""
    return struct.unpack_from("<I", content, 4)[0] if len(content) >= 16 else 0


def _of_lz4(content: bytes, limit: int) -> int:
    """numcodecs puts the size before the block."""
    return struct.unpack_from("<I", content)[0] if len(content) >= 4 else 0


def _of_deflate(content: bytes, limit: int) -> int:
    if MOST_EXPANSION * len(content) <= max(limit, _UNCHECKED_BYTES):
        return 0
    return _counted(lambda: zlib.decompressobj(wbits=47), content, limit)  # 47: zlib or gzip


def _of_bz2(content: bytes, limit: int) -> int:
    return _counted(bz2.BZ2Decompressor, content, limit)


def _of_lzma(content: bytes, limit: int) -> int:
    return _counted(lzma.LZMADecompressor, content, limit)


def _counted(begin: Callable[[], Any], content: bytes, limit: int) -> int:
    """Bytes of all streams in a content, as far as they are needed; what is damaged is left to the codec."""
    total, stream = 0, begin()
    for at in range(0, len(content), _PIECE // MOST_EXPANSION):
        piece = content[at : at + _PIECE // MOST_EXPANSION]
        while piece:
            try:
                total += len(stream.decompress(piece, limit + 1))
            except (zlib.error, lzma.LZMAError, OSError, EOFError):
                return total
            if total > limit:
                return total
            piece = b""
            if stream.eof:  # another one may follow
                piece, stream = stream.unused_data, begin()
    return total


def _of_zstd(content: bytes, limit: int) -> int:
    """Of all frames, as their headers say, or else at most what their blocks can hold (RFC 8878, section 3.1.1)."""
    total, at = 0, 0
    try:
        while at < len(content):
            (magic,) = struct.unpack_from("<I", content, at)
            if magic == _ZSTD_MAGIC:
                stated, blocks, at = _zstd_frame(content, at + 4)
                total += blocks if stated is None else stated
            elif magic & ~15 == _ZSTD_SKIPPED:
                at += 8 + struct.unpack_from("<I", content, at + 4)[0]
            else:
                break
    except (struct.error, IndexError):  # cut short: left to the codec
        pass
    return total


def _zstd_frame(content: bytes, at: int) -> tuple[int | None, int, int]:
    """Size that a frame states, size that its blocks may have, and where it ends."""
    descriptor = content[at]
    is_single, has_checksum = bool(descriptor & 32), bool(descriptor & 4)
    field = (1 if is_single else 0, 2, 4, 8)[descriptor >> 6]
    at += 1 + (not is_single) + (0, 1, 2, 4)[descriptor & 3]
    stated = int.from_bytes(content[at : at + field], "little") + (256 if field == 2 else 0) if field else None
    at, blocks, is_last = at + field, 0, False
    while not is_last:
        header = int.from_bytes(content[at : at + 3], "little")
        is_last, kind, size = bool(header & 1) or at + 3 > len(content), header >> 1 & 3, header >> 3
        blocks += size if kind < 2 else _ZSTD_BLOCK
        at += 3 + (1 if kind == 1 else size)
    return stated, blocks, at + 4 * has_checksum


SIZES: dict[str, Callable[[bytes, int], int]] = {
    "blosc": _of_blosc,
    "bz2": _of_bz2,
    "gzip": _of_deflate,
    "lz4": _of_lz4,
    "lzma": _of_lzma,
    "zlib": _of_deflate,
    "zstd": _of_zstd,
}
"""How much a compressor makes of a chunk: the content and a limit, up to which it is of interest, give bytes."""


@dataclass(frozen=True)
class ExpansionCheck(BytesBytesCodec):
    """A codec that changes nothing: it looks at what the compressor before it is about to decompress.

    Args:
        kind: the compressor.
    """

    kind: str

    is_fixed_size = True

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        return input_byte_length

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        limit = _limit(chunk_spec.shape, chunk_spec.dtype.to_native_dtype())
        check_expansion_of_chunk(self.kind, chunk_bytes.to_bytes(), limit)
        return chunk_bytes

    async def _encode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        return chunk_bytes


class _BoundedCompressor:
    """A compressor of version 2, as numcodecs has it, that looks first.

    Args:
        inner: does the work.
        limit: bytes to which a chunk may expand.
    """

    codec_id = "bounded"

    def __init__(self, inner: Any, limit: int) -> None:
        self.inner, self.limit = inner, limit

    def decode(self, buf: Any, out: Any = None) -> Any:
        check_expansion_of_chunk(self.inner.codec_id, bytes(buf), self.limit)
        return self.inner.decode(buf, out)

    def encode(self, buf: Any) -> Any:
        return self.inner.encode(buf)

    def get_config(self) -> Any:
        return self.inner.get_config()

    @classmethod
    def from_config(cls, config: Any) -> Any:
        raise NotImplementedError("made from an array that is open")


def _bounded_codecs(codecs: Iterable[Any]) -> list[Any]:
    """Codecs, each compressor followed by a look at what it gets; those within shards, too."""
    result: list[Any] = []
    for codec in codecs:
        if isinstance(codec, ShardingCodec):
            result.append(replace(codec, codecs=tuple(_bounded_codecs(codec.codecs))))
            continue
        result.append(codec)
        kind = _KINDS.get(type(codec)) or str(getattr(codec, "codec_name", "")).removeprefix("numcodecs.")
        if kind in SIZES:
            result.append(ExpansionCheck(kind))
    return result


def _limit(chunks: Sequence[int], dtype: np.dtype) -> int:
    """Bytes to which a chunk may expand."""
    return _SLACK * math.prod(chunks) * dtype.itemsize + _SMALL
