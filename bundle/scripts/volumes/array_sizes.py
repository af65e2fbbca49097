"""What an array claims to be, checked before anything of that size is allocated."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .errors import MetadataError
from .metadata_documents import shown

MOST_CHUNK_BYTES = 2**34
"""16 GiB: a chunk is decoded as a whole, whatever is read of it. The largest that the usual compressors make is 2 GiB,
so that one beyond this is a mistake, or an attack. As a constant it lets a store open on every machine or on none."""

MOST_CHANNELS = 2**16
"""Every box is read with all channels, so that more of them are an axis taken for another one, or damage."""

MOST_VOXELS = 2**63 - 1
"""Voxels are counted in 64 bits."""

_UNREADABLE = 10**21

MOST_EXPANSION = 1032
"""Deflate, which is in .nii.gz and .npz, makes at most so many bytes of one."""


def check_sizes(
    where: str, shape: Sequence[int], chunks: Sequence[int], dtype: np.dtype, shards: Sequence[int] | None = None
) -> None:
    """Refuse an array of which no chunk can be held in memory.

    Args:
        where: path, for messages.
        shape: along the stored axes.
        chunks: of what is decoded at a time.
        dtype: of the voxels.
        shards: of what is stored together, where that is more.

    Raises:
        MetadataError: that names the number.
    """
    if (voxels := math.prod(shape)) > MOST_VOXELS:
        raise MetadataError(
            f"{where}: the metadata claim a shape of {shown(list(shape))}, {_count(voxels)} voxels; expected at most "
            f"{MOST_VOXELS:,}"
        )
    held = math.prod(chunks) * dtype.itemsize
    if held > MOST_CHUNK_BYTES:
        raise MetadataError(
            f"{where}: the metadata claim chunks of {shown(list(chunks))} {dtype}, {_count(held)} bytes each; expected "
            f"at most {MOST_CHUNK_BYTES:,}, since a chunk is held in memory as a whole"
        )
    if shards is not None and (inside := math.prod(s // c for s, c in zip(shards, chunks, strict=True))):
        index = 16 * inside
        if index > MOST_CHUNK_BYTES:
            raise MetadataError(
                f"{where}: the metadata claim shards of {_count(inside)} chunks each, whose index alone takes "
                f"{_count(index)} bytes; expected at most {MOST_CHUNK_BYTES:,}"
            )


def _count(number: int) -> str:
    """A number in digits, unless there are more of them than anybody reads (or Python writes)."""
    return f"{number:,}" if number < _UNREADABLE else f"more than {_UNREADABLE:.0e}"


def check_channels(where: str, channels: int) -> None:
    """Refuse a volume of more channels than can be read at once.

    Args:
        where: path, for messages.
        channels: their number.

    Raises:
        MetadataError: with the number.
    """
    if channels > MOST_CHANNELS:
        raise MetadataError(
            f"{where}: the metadata claim {channels:,} channels; expected at most {MOST_CHANNELS:,}. Is that "
            "the axis of the channels?"
        )


def check_expansion(where: str, claimed: int, stored: int) -> None:
    """Refuse a file that claims more voxels than any compression can have put into it.

    Args:
        where: path, for messages.
        claimed: bytes of all voxels.
        stored: bytes of the file.

    Raises:
        MetadataError: with both numbers.
    """
    if claimed > MOST_EXPANSION * stored:
        raise MetadataError(
            f"{where}: the header claims {claimed:,} bytes of voxels, but the file has {stored:,}, which cannot hold "
            "them; it is cut short, or no such file"
        )
