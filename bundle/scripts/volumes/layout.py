"""How the arrays of an OME-Zarr image are laid out in their store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.core.sync import sync

from .ngff import VERSIONS
from .paths import is_url
from .stores import open_store

Triplet = tuple[int, int, int]

METADATA_NAMES = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
"""Last part of the keys under which zarr keeps metadata."""

DEFAULT_CHUNK = 64
"""Voxels along each axis of a chunk where nobody says otherwise."""


@dataclass(frozen=True)
class ArrayLayout:
    """What all levels of an image share.

    Args:
        version: of OME-Zarr.
        dtype: of the voxels.
        channel_axis: whether the arrays are c z y x, else z y x.
        chunks: D, H, W of a chunk, which holds one channel.
        shards: D, H, W of a shard, which holds all channels; `None` for no shards.
        compressor: as `zarr.create_array` takes its `compressors`.
        fill_value: value of voxels that nobody writes.
    """

    version: str
    dtype: np.dtype
    channel_axis: bool
    chunks: Triplet
    shards: Triplet | None
    compressor: Any
    fill_value: float

    @property
    def block_shape(self) -> Triplet:
        """D, H, W of a stored object."""
        return self.shards or self.chunks

    @property
    def zarr_format(self) -> Any:
        return 3 if self.version == "0.5" else 2

    def array_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of an array that holds C, D, H, W."""
        return tuple(shape) if self.channel_axis else tuple(shape[1:])

    def array_chunks(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Chunks of an array that holds C, D, H, W."""
        cut = self.chunks if self.shards else tuple(min(c, n) for c, n in zip(self.chunks, shape[1:], strict=True))
        return (1, *cut) if self.channel_axis else cut

    def array_shards(self, shape: Sequence[int]) -> tuple[int, ...] | None:
        """Shards of an array that holds C, D, H, W."""
        return (shape[0], *self.shards) if self.shards and self.channel_axis else self.shards

    def differences(self, array: zarr.Array[Any], shape: Sequence[int]) -> list[str]:
        """In which respects an array is not laid out like one of these that holds C, D, H, W; in words."""
        wanted = {
            "shape": self.array_shape(shape),
            "type": self.dtype,
            "chunks": self.array_chunks(shape),
            "shards": self.array_shards(shape),
            "zarr format": self.zarr_format,
        }
        found = (array.shape, array.dtype, array.chunks, array.shards, array.metadata.zarr_format)
        return [
            f"{name} {there}, not {here}"
            for (name, here), there in zip(wanted.items(), found, strict=True)
            if there != here
        ]

    def create_level(self, path: str, level: int, shape: Sequence[int]) -> None:
        """Create the array of one level, in place of one that is there.

        Args:
            path: of the image's group.
            level: its number, which is its name.
            shape: C, D, H, W.
        """
        options: dict[str, Any] = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
        if self.version == "0.5":
            options = {"dimension_names": tuple("czyx" if self.channel_axis else "zyx")}
        if self.shards:
            options["shards"] = self.array_shards(shape)
        zarr.create_array(
            open_store(path, read_only=False),
            name=str(level),
            shape=self.array_shape(shape),
            chunks=self.array_chunks(shape),
            dtype=self.dtype,
            compressors=self.compressor,
            fill_value=self.fill_value,
            zarr_format=self.zarr_format,
            overwrite=True,
            config={"write_empty_chunks": False},
            **options,
        )


def checked_chunks(
    shape: Sequence[int], chunks: Sequence[int] | None, shards: Sequence[int] | None, version: str
) -> tuple[Triplet, Triplet | None]:
    """Check chunks and shards against each other; chunks larger than an unsharded volume are cut to it.

    Args:
        shape: D, H, W.
        chunks: D, H, W, default 64 each.
        shards: D, H, W.
        version: of OME-Zarr.
    """
    chunk = _sizes((DEFAULT_CHUNK,) * 3 if chunks is None else chunks, "chunks")
    if shards is None:
        d, h, w = (min(c, n) for c, n in zip(chunk, shape, strict=True))
        return (d, h, w), None
    if version != "0.5":
        raise ValueError(f"shards need OME-Zarr 0.5 (zarr v3), but version = '{version}'; leave one of them out")
    shard = _sizes(shards, "shards")
    if any(s % c for s, c in zip(shard, chunk, strict=True)):
        raise ValueError(f"shards: {shard} are no multiples of the chunks {chunk}; expected whole chunks in a shard")
    return chunk, shard


def require_free(path: str, overwrite: bool) -> None:
    """Check that an image may be written at a path.

    Raises:
        FileExistsError: where something is there, and it may not be, or should not be, replaced.
    """
    if is_url(path):
        if not overwrite and not sync(open_store(path).is_empty("")):
            raise FileExistsError(f"{path} exists; choose another path, or pass overwrite=True to replace it")
        return
    target = Path(path)
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not overwrite:
        raise FileExistsError(f"{path} exists; choose another path, or pass overwrite=True to replace it")
    if not any((target / name).exists() for name in ("zarr.json", ".zgroup", ".zarray")):
        raise FileExistsError(
            f"{path} exists and is no zarr, so overwrite=True does not replace it; remove it yourself"
        )


def checked_version(version: str) -> str:
    """Return the version as text; fire turns `--version 0.4` into a number."""
    if str(version) not in VERSIONS:
        raise ValueError(f"version: expected one of {', '.join(VERSIONS)}, got {version!r}")
    return str(version)


def _sizes(values: Sequence[int], what: str) -> Triplet:
    try:
        d, h, w = (int(v) for v in values)
    except (TypeError, ValueError):
        raise ValueError(f"{what}: expected three whole numbers [D, H, W], got {values!r}") from None
    if min(d, h, w) < 1:
        raise ValueError(f"{what}: expected numbers of at least 1, got {values!r}")
    return d, h, w
