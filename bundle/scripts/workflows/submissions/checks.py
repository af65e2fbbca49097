"""What a zip file from a stranger may hold before anything in it is decoded."""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_SYMLINK = 0o120000
_FILE_TYPE = 0o170000
_MOST_METADATA_BYTES = 2**20

_SAFE_COMPRESSORS = ("blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd")
"""Codecs that only decompress; others, such as pickle, could run code."""

_GRID_KEYS = {"voxel size": ("voxel_size", "resolution", "scale"), "translation": ("translation", "offset")}
"""Attributes that state a grid, in the order in which CellMap's toolbox looks for them."""

Triple = tuple[float, float, float]


def check_members(
    where: str, members: Sequence[zipfile.ZipInfo], max_total_bytes: int, max_entry_bytes: int
) -> dict[str, zipfile.ZipInfo]:
    """Check names and sizes of what a zip file holds.

    Args:
        where: names the file in errors.
        members: its entries.
        max_total_bytes: most bytes of all of them, uncompressed.
        max_entry_bytes: most bytes of one of them, uncompressed.

    Returns:
        the files among them, by name.

    Raises:
        ValueError: for a name that leads out of the archive or is there twice, a link, an encrypted entry, or too many
            bytes; the message names the entry.
    """
    files: dict[str, zipfile.ZipInfo] = {}
    total = 0
    for member in members:
        name = member.orig_filename
        parts = name.rstrip("/").split("/")
        if re.search(r"[\\\0]|^/|^[A-Za-z]:", name) or {"", ".", ".."} & set(parts):
            raise ValueError(
                f"{where}: the entry {name!r} leads out of the archive; expected names such as crop1/nuc/0.0.0"
            )
        if member.external_attr >> 16 & _FILE_TYPE == _SYMLINK:
            raise ValueError(f"{where}: the entry {name!r} is a link; expected files")
        if member.flag_bits & 1:
            raise ValueError(f"{where}: the entry {name!r} is encrypted")
        if name in files:
            raise ValueError(f"{where}: the entry {name!r} is there twice")
        if member.file_size > max_entry_bytes:
            raise ValueError(
                f"{where}: the entry {name!r} unpacks to {member.file_size} bytes; allowed are {max_entry_bytes}"
            )
        total += member.file_size
        if total > max_total_bytes:
            raise ValueError(
                f"{where}: its entries unpack to more than {max_total_bytes} bytes, of which {name!r} is one too many"
            )
        if not member.is_dir():
            files[name] = member
    return files


def read_json(where: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> dict[str, Any]:
    """Read a small JSON entry.

    Raises:
        ValueError: for one that is large, broken, or no dictionary; the message names the entry.
    """
    if member.file_size > _MOST_METADATA_BYTES:
        raise ValueError(f"{where}: the entry {member.filename!r} has {member.file_size} bytes, too many for metadata")
    try:
        content = json.loads(archive.read(member))
    except (ValueError, zipfile.BadZipFile, RecursionError) as error:
        raise ValueError(f"{where}: the entry {member.filename!r} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{where}: the entry {member.filename!r} holds {content!r:.40}; expected a dictionary")
    return content


def check_array(name: str, content: Mapping[str, Any], max_array_bytes: int, max_chunk_bytes: int) -> tuple[int, ...]:
    """Check the metadata of a zarr v2 array of ids or a mask.

    Args:
        name: of the entry, for errors.
        content: of its `.zarray`.
        max_array_bytes: most bytes of the whole array.
        max_chunk_bytes: most bytes of a chunk.

    Returns:
        the array's shape D, H, W.

    Raises:
        ValueError: for another format, type or number of axes, a codec that is not known to be harmless, or too many
            bytes.
    """
    if content.get("zarr_format") != 2:
        raise ValueError(f"{name}: expected zarr_format 2; got {content.get('zarr_format')!r}")
    kind = _dtype(content.get("dtype"))
    if kind is None or kind.kind not in "bui":
        raise ValueError(f"{name}: expected whole numbers, such as |u1; got dtype {content.get('dtype')!r}")
    shape, chunks = (_sizes(name, key, content.get(key)) for key in ("shape", "chunks"))
    codec = content.get("compressor")
    used = codec.get("id") if isinstance(codec, Mapping) else codec
    if content.get("filters") or (used is not None and used not in _SAFE_COMPRESSORS):
        raise ValueError(
            f"{name}: expected no filters, and a compressor of {', '.join(_SAFE_COMPRESSORS)}; got filters "
            f"{content.get('filters')!r}, compressor {used!r}"
        )
    for what, sizes, most in (("the array", shape, max_array_bytes), ("a chunk", chunks, max_chunk_bytes)):
        if (n_bytes := math.prod(sizes) * kind.itemsize) > most:
            raise ValueError(f"{name}: {what} of {list(sizes)} has {n_bytes} bytes; allowed are {most}")
    return shape


def stated_grid(name: str, attributes: Mapping[str, Any]) -> tuple[Triple, Triple]:
    """Voxel size and translation, z y x, that the attributes of an array state.

    Raises:
        ValueError: where one is missing, or not three numbers.
    """
    found = []
    for what, keys in _GRID_KEYS.items():
        key = next((key for key in keys if key in attributes), None)
        if key is None:
            raise ValueError(
                f"{name}: the attributes state no {what} ({' or '.join(keys)}); they hold "
                f"{', '.join(attributes) or 'nothing'}"
            )
        try:
            z, y, x = (float(value) for value in attributes[key])
        except (TypeError, ValueError):
            raise ValueError(f"{name}: expected '{key}' as three numbers z, y, x; got {attributes[key]!r}") from None
        if not all(map(math.isfinite, (z, y, x))) or (what == "voxel size" and min(z, y, x) <= 0):
            raise ValueError(f"{name}: '{key}' must be finite, and a voxel size positive; got {attributes[key]!r}")
        found.append((z, y, x))
    return found[0], found[1]


def _dtype(spelled: Any) -> np.dtype | None:
    try:
        return np.dtype(spelled) if isinstance(spelled, str) else None
    except TypeError:
        return None


def _sizes(name: str, key: str, values: Any) -> tuple[int, ...]:
    is_list = isinstance(values, list) and len(values) == 3
    if not is_list or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in values):
        raise ValueError(f"{name}: expected '{key}' as three whole numbers D, H, W; got {values!r}")
    return tuple(values)
