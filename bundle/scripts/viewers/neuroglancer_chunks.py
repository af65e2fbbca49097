"""Any volume as a zarr array that is never stored: its chunks are read when they are asked for."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np

from ..volumes import Volume

_LONGEST_EDGE = 128
_SHORTEST_EDGE = 16
_EDGE = 64
_MOST_BYTES = 8 * 2**20

_KEY = re.compile(r"c((?:/\d+)+)")


class ReadArray:
    """A volume as an uncompressed zarr v3 array, of a type that neuroglancer's client knows.

    Numbers stay as stored. Bool becomes uint8; floats become float32; 64-bit integers become uint64 where they are
    ids, else float32.

    Args:
        volume: what to read from.
        channels_together: whether a chunk holds all channels, else one.
        are_ids: whether the numbers name things.

    Attributes:
        axes: `czyx`, or `zyx` where there is one channel.
        dtype: type of the chunks.
        chunks: C, D, H, W of a chunk.
    """

    def __init__(self, volume: Volume, *, channels_together: bool, are_ids: bool) -> None:
        self.volume = volume
        self.dtype = _client_type(volume.dtype, are_ids)
        self.axes = "czyx" if volume.channels > 1 else "zyx"
        channels = volume.channels if channels_together else 1
        self.chunks = (channels, *_chunk_edges(volume, channels * self.dtype.itemsize))

    def metadata(self) -> dict[str, Any]:
        """Content of the array's `zarr.json`."""
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self.volume.shape[-len(self.axes) :]),
            "data_type": self.dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(self.chunks[-len(self.axes) :])}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "attributes": {},
        }

    def get(self, key: str) -> bytes | None:
        """What is stored under a key, as far as a client can tell.

        Args:
            key: `zarr.json`, or a chunk such as `c/1/2/3`.

        Returns:
            its bytes, `None` for a key that the array does not have.

        Raises:
            RemoteError: for a server that does not answer.
        """
        if key == "zarr.json":
            return json.dumps(self.metadata()).encode()
        match = _KEY.fullmatch(key)
        index = [int(part) for part in match[1].split("/")[1:]] if match else []
        if len(index) != len(self.axes):
            return None
        start = [i * n for i, n in zip([0, *index][-4:], self.chunks, strict=True)]
        size = [min(n, extent - at) for n, extent, at in zip(self.chunks, self.volume.shape, start, strict=True)]
        if min(size) < 1:
            return None
        channels = range(start[0], start[0] + size[0])
        block = self.volume.read(start[1:], size[1:], channels=channels)  # C D H W
        pads = [(0, n - have) for n, have in zip(self.chunks, block.shape, strict=True)]  # zarr's chunks are whole
        return np.pad(block.astype(self.dtype, copy=False), pads).tobytes()


def _client_type(dtype: np.dtype, are_ids: bool) -> np.dtype:
    if dtype.kind == "b":
        return np.dtype("<u1")
    if dtype.kind == "f" or (dtype.itemsize == 8 and not are_ids):
        return np.dtype("<f4")
    return np.dtype("<u8") if dtype.itemsize == 8 else dtype.newbyteorder("<")


def _chunk_edges(volume: Volume, voxel_bytes: int) -> tuple[int, int, int]:
    """D, H, W of a chunk: that of the store where it is handy, so that no stored chunk is decoded twice."""
    stored = volume.chunks
    handy = all(_SHORTEST_EDGE <= n <= _LONGEST_EDGE for n in stored)
    if handy and math.prod(stored) * voxel_bytes <= _MOST_BYTES:
        return stored
    d, h, w = (min(_EDGE, extent) for extent in volume.spatial_shape)
    return d, h, w
