"""The JSON documents that describe a zarr store, checked as they are read, before anything is made from them.

They come from anywhere: a download that broke off, another program, another person. zarr-python takes them at their
word, and what it says about nonsense depends on where it stumbles. What is checked here is what the numbers of a volume
are read from; `zarr_nodes` turns what zarr-python finds in the rest into the same error.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from .errors import MetadataError

MOST_METADATA_BYTES = 2**26
"""64 MiB: far beyond what any array or image needs, so that a larger document is no metadata."""

MOST_AXES = 32
"""NumPy 1 and tensorstore know no more, and volumes have 5 at most."""

_SHARDING = "sharding_indexed"


def is_metadata(key: str) -> bool:
    """Whether a key of a zarr store names a document that describes an array or a group."""
    return key.rpartition("/")[2] in _CHECKS


def check_length(where: str, length: int) -> None:
    """Refuse a document that is too long to be one.

    Args:
        where: path of the document.
        length: bytes.

    Raises:
        MetadataError: with the length.
    """
    if length > MOST_METADATA_BYTES:
        raise MetadataError(
            f"{where}: {length:,} bytes of metadata; expected at most {MOST_METADATA_BYTES:,}. It is no metadata"
        )


def check_document(where: str, content: bytes) -> None:
    """Refuse a document that no array, group or attributes can be made from.

    Args:
        where: path of the document, whose last part says what it is.
        content: as stored.

    Raises:
        MetadataError: that names the document, what it says and what was expected.
    """
    check_length(where, len(content))
    try:
        document = json.loads(content.decode())
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, numbers or nesting without end
        reason = "lists within lists without end" if isinstance(error, RecursionError) else error
        raise MetadataError(
            f"{where}: the metadata there are no JSON ({reason}); expected a zarr array or group"
        ) from None
    if not isinstance(document, dict):
        raise MetadataError(f"{where}: expected a JSON object {{...}}, got {shown(document)}")
    _CHECKS[where.rpartition("/")[2]](where, document)


def shown(value: Any) -> str:
    """A value from a document in a few words, however long or deep it is."""
    return _shortener.repr(value)


def _check_node(where: str, document: Mapping[str, Any]) -> None:
    """Version 3: an array or a group."""
    _require(where, document, "zarr_format", lambda value: value == 3, "3")
    kind = document.get("node_type")
    _require(where, document, "node_type", lambda value: value in ("array", "group"), "'array' or 'group'")
    if not isinstance(document.get("attributes", {}), dict):
        raise _fault(where, "attributes", document["attributes"], "a JSON object {...}")
    if kind == "group":
        return
    shape = _sizes(where, "shape", document.get("shape"), least=0)
    grid = _configuration(where, "chunk_grid", document.get("chunk_grid"))
    chunks = _sizes(where, "chunk_shape", grid.get("chunk_shape"), axes=len(shape))
    _configuration(where, "chunk_key_encoding", document.get("chunk_key_encoding"))
    _check_codecs(where, document.get("codecs"), chunks)


def _check_codecs(where: str, codecs: Any, chunks: list[int]) -> None:
    """Codecs of chunks of a size, and of the chunks within them."""
    if not isinstance(codecs, list) or not codecs:
        raise _fault(where, "codecs", codecs, "a list of at least one codec")
    for codec in codecs:
        settings = {} if isinstance(codec, str) else _configuration(where, "codecs", codec)
        if isinstance(codec, dict) and codec["name"] == _SHARDING:
            inner = _sizes(where, "chunk_shape", settings.get("chunk_shape"), axes=len(chunks))
            if any(n % i for n, i in zip(chunks, inner, strict=True)):
                raise _fault(where, "chunk_shape", inner, f"sizes by which the shard's {chunks} can be divided")
            _check_codecs(where, settings.get("codecs"), inner)


def _check_array(where: str, document: Mapping[str, Any]) -> None:
    """Version 2: an array."""
    _require(where, document, "zarr_format", lambda value: value == 2, "2")
    shape = _sizes(where, "shape", document.get("shape"), least=0)
    _sizes(where, "chunks", document.get("chunks"), axes=len(shape))
    _require(where, document, "dtype", lambda value: isinstance(value, str), "the name of a type, such as '<u2'")
    for key, kind, expected in (("compressor", dict, "null, or a codec {...}"), ("filters", list, "null, or a list")):
        if key not in document:
            raise _fault(where, key, None, expected)
        if document[key] is not None and not isinstance(document[key], kind):
            raise _fault(where, key, document[key], expected)
    codecs = [*(document["filters"] or []), document["compressor"]]
    if forbidden := [codec for codec in codecs if isinstance(codec, dict) and codec.get("id") == "pickle"]:
        raise _fault(where, "id", forbidden[0], "a codec of numbers; this one runs what is stored as a program")


def _check_group(where: str, document: Mapping[str, Any]) -> None:
    """Version 2: a group."""
    _require(where, document, "zarr_format", lambda value: value == 2, "2")


def _check_attributes(where: str, document: Mapping[str, Any]) -> None:
    """Version 2: attributes may say anything."""


_CHECKS: dict[str, Callable[[str, Mapping[str, Any]], None]] = {
    "zarr.json": _check_node,
    ".zarray": _check_array,
    ".zgroup": _check_group,
    ".zattrs": _check_attributes,
}
"""By the last part of the key. Consolidated metadata are not among them: they are read where a server cannot list."""


def _require(where: str, document: Mapping[str, Any], key: str, is_right: Callable[[Any], bool], expected: str) -> None:
    value = document.get(key)
    if isinstance(value, (list, dict, bool)) or not is_right(value):
        raise _fault(where, key, value, expected)


def _configuration(where: str, key: str, value: Any) -> Mapping[str, Any]:
    """The settings of something that has a name: `{"name": ..., "configuration": {...}}`."""
    settings = value.get("configuration", {}) if isinstance(value, dict) else None
    if not isinstance(settings, dict) or not isinstance(value.get("name"), str):
        raise _fault(where, key, value, '{"name": ..., "configuration": {...}}')
    return settings


def _sizes(where: str, key: str, values: Any, least: int = 1, axes: int | None = None) -> list[int]:
    """One whole number per axis."""
    expected = f"a list of {'whole numbers' if axes is None else f'{axes} whole numbers'} of at least {least}"
    if not isinstance(values, list) or any(not isinstance(n, int) or isinstance(n, bool) or n < least for n in values):
        raise _fault(where, key, values, expected)
    if len(values) > MOST_AXES:
        raise _fault(where, key, f"{len(values):,} axes", f"at most {MOST_AXES}")
    if axes is not None and len(values) != axes:
        raise _fault(where, key, values, expected)
    return values


def _fault(where: str, key: str, value: Any, expected: str) -> MetadataError:
    return MetadataError(f"{where}: '{key}' is {shown(value)}; expected {expected}")


_shortener = reprlib.Repr()
_shortener.maxstring = _shortener.maxother = 60
