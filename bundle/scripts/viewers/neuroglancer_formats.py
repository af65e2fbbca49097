"""Which arrays neuroglancer's client reads itself, from the bytes of their store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..volumes import is_url
from ..volumes.paths import split_level
from ..volumes.zarr_open import open_zarr

_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float32")
_V2_TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4")
_CODECS = ("transpose", "bytes", "gzip", "zstd", "blosc", "crc32c", "sharding_indexed")
_V2_COMPRESSORS = ("blosc", "zlib", "gzip", "zstd")


@dataclass(frozen=True)
class StoredLevel:
    """A level that the client reads itself.

    Args:
        folder: of its array.
        axes: letters of its axes as stored, such as `czyx`.
        zarr_format: 2 or 3.
    """

    folder: Path
    axes: str
    zarr_format: int


class NotReadByClient(Exception):
    """The client does not read an array itself; the message says why."""


def stored_levels(paths: Sequence[str], *, channels_together: bool) -> list[StoredLevel]:
    """Find the arrays of a pyramid whose bytes the client can be given as they are.

    Args:
        paths: each level as `open_volume` takes it, fine to coarse.
        channels_together: whether the client needs all channels of a voxel in one chunk.

    Raises:
        NotReadByClient: where one of them is no local zarr array, or has a type, codec or axes that the client of
            neuroglancer 2.41 does not know.
    """
    return [_stored_level(path, channels_together) for path in paths]


def _stored_level(path: str, channels_together: bool) -> StoredLevel:
    base, level = split_level(path)
    if is_url(base):
        raise NotReadByClient("it is remote")
    if not Path(base).is_dir():
        raise NotReadByClient("it is no zarr")
    opened = open_zarr(base, level, None)
    folder = Path(opened.source.path)
    axes = opened.axes or {3: "zyx", 4: "czyx"}.get(len(opened.source.shape), "")
    if sorted(axes) not in (["x", "y", "z"], ["c", "x", "y", "z"]):
        raise NotReadByClient(f"its axes are {axes or 'y x'}")
    if (folder / "zarr.json").is_file():
        metadata, version = json.loads((folder / "zarr.json").read_text()), 3
        reason = _fault_v3(metadata)
    else:
        metadata, version = json.loads((folder / ".zarray").read_text()), 2
        reason = _fault_v2(metadata)
    if reason:
        raise NotReadByClient(reason)
    if channels_together and "c" in axes:
        channels, chunk = opened.source.shape[axes.index("c")], opened.source.chunks[axes.index("c")]
        if channels != chunk:
            raise NotReadByClient("its channels are in chunks of their own")
    return StoredLevel(folder, axes, version)


def _fault_v3(metadata: Mapping[str, Any]) -> str | None:
    if metadata["data_type"] not in _TYPES:
        return f"its type is {metadata['data_type']}"
    return _codec_fault(metadata["codecs"])


def _codec_fault(codecs: Sequence[Mapping[str, Any]]) -> str | None:
    for codec in codecs:
        if codec["name"] not in _CODECS:
            return f"its codec is {codec['name']}"
    if any(codec["name"] == "sharding_indexed" for codec in codecs):
        if codecs[-1]["name"] != "sharding_indexed":
            return f"its shards are encoded by {codecs[-1]['name']} as a whole"
        return _codec_fault(codecs[-1]["configuration"]["codecs"])
    return None


def _fault_v2(metadata: Mapping[str, Any]) -> str | None:
    if str(metadata["dtype"])[1:] not in _V2_TYPES:
        return f"its type is {metadata['dtype']}"
    if metadata.get("filters"):
        return f"its filter is {metadata['filters'][0].get('id')}"
    compressor = metadata.get("compressor")
    if compressor is not None and compressor.get("id") not in _V2_COMPRESSORS:
        return f"its compressor is {compressor.get('id')}"
    return None
