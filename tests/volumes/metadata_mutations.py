"""Stores whose metadata are damaged in one of many ways, each by its number.

A case is a store that is right, one of its documents, and what is done to it: values of wrong types, numbers beyond any
sense, keys that are missing, misspelt or doubled, lists that are too short, in another order, nested without end, text
that is cut off or no text. The same number gives the same case, on every machine.
"""

import copy
import json
import math
import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

from scripts.volumes import create_ome_zarr

SHAPE = (2, 6, 8, 10)
"""C D H W of all images."""


@dataclass(frozen=True)
class Case:
    """One damaged document.

    Args:
        number: of the case.
        document: its file.
        content: what it now holds.
        target: what is opened, a path that `open_volume` takes.
    """

    number: int
    document: Path
    content: bytes
    target: str

    def __str__(self):
        return f"case {self.number}: {self.document} holds {self.content[:2000]!r}, {self.target} is opened"


def make_stores(folder):
    """Stores of all kinds, and for each what can be opened in it: list of (store, targets)."""
    data = np.random.default_rng(0).integers(1, 255, SHAPE).astype(np.uint16)
    arrays = {
        "v2.zarr": {"zarr_format": 2, "chunks": (1, 4, 4, 4)},
        "v3.zarr": {"chunks": (1, 4, 4, 4), "dimension_names": ("c", "z", "y", "x")},
        "sharded.zarr": {"chunks": (1, 2, 4, 4), "shards": (2, 4, 8, 8)},
        "raw.zarr": {"chunks": (1, 4, 4, 4), "compressors": None},
    }
    stores = []
    for name, options in arrays.items():
        zarr.create_array(folder / name, shape=SHAPE, dtype=data.dtype, **options)[...] = data
        stores.append((folder / name, [""]))
    for version in ("0.4", "0.5"):
        path = folder / f"image{version}.zarr"
        _image(path, data, version)
        _image(path / "labels" / "cells", data[:1].astype(np.uint8), version)
        _annotate(path / "labels", {"labels": ["cells"]}, version)
        stores.append((path, ["", "::1", "/0", "/1", "/labels/cells", "/labels/cells/0", "/labels"]))
    plate = folder / "plate.zarr"
    _image(plate / "A" / "1" / "0", data, "0.4")
    _annotate(plate / "A" / "1", {"well": {"images": [{"path": "0"}], "version": "0.4"}}, "0.4")
    wells = [{"path": "A/1", "rowIndex": 0, "columnIndex": 0}]
    rows = {"rows": [{"name": "A"}], "columns": [{"name": "1"}], "wells": wells, "version": "0.4"}
    _annotate(plate, {"plate": rows}, "0.4")
    stores.append((plate, ["", "/A/1", "/A/1/0", "/A/1/0/0"]))
    for zarr_format in (2, 3):
        path = folder / f"consolidated{zarr_format}.zarr"
        group = zarr.create_group(path, zarr_format=zarr_format)
        group.create_array("inner/raw", shape=SHAPE, dtype=data.dtype, chunks=(1, 4, 4, 4))[...] = data
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
            zarr.consolidate_metadata(str(path), zarr_format=zarr_format)
        stores.append((path, ["", "/inner", "/inner/raw"]))
    return stores


def make_case(stores, number):
    """The case of a number."""
    draw = random.Random(number)
    store, targets = draw.choice(stores)
    document = draw.choice(sorted(path for path in store.rglob("*") if path.name in DOCUMENTS))
    tree = json.loads(document.read_bytes())
    kind = draw.random()
    if kind < 0.2:
        content = draw.choice(TEXTS)(json.dumps(tree).encode(), draw)
    else:
        for _ in range(draw.choice((1, 1, 1, 2, 4))):
            _damage(tree, draw, known=kind < 0.6)
        content = json.dumps(tree).encode()
    return Case(number, document, content, f"{store}{draw.choice(targets)}")


DOCUMENTS = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")


def _image(path, data, version):
    writer = create_ome_zarr(
        path, data.shape, data.dtype, spacing=(2, 1, 1), unit="um", chunks=(4, 4, 4), levels=2, version=version,
        attributes={"polytome": {"scale": 0.5, "offset": 1.0, "zero_is_missing": False}},
    )  # fmt: skip
    writer.write((0, 0, 0), data)
    writer.finish()


def _annotate(path, attributes, version):
    group = zarr.open_group(path, mode="a", zarr_format=3 if version == "0.5" else 2)
    group.attrs.update({"ome": {"version": version, **attributes}} if version == "0.5" else attributes)


# --- values -----------------------------------------------------------------------------------------------------------


def _nested(depth, kind):
    value = 1
    for _ in range(depth):
        value = [value] if kind == "list" else {"name": value}
    return value


VALUES = [
    *(None, True, False, 0, -1, 1, 2, 7, 3.5, -0.0, 1e-320, 1e308, -1e308, math.inf, -math.inf, math.nan),
    *(2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 10**9, 10**15, -(10**15), 10**30, 10**400),
    *("", "x", "zyx", "0", "1", ".", "..", "../..", "/etc", "0/../../x", "a\x00b", "\ud800", "\u202e", "x" * 10_000),
    *("NaN", "-Infinity", "0x7fc00000", "null", "<u2", ">f8", "|V99999999999", "<U9", "O", "M8[ns]", "f16", "s3://x/y"),
    *([], {}, [[]], [1], [1, 2, 3], [0, 0, 0, 0], [-1, 4, 4, 4], [10**15] * 4, [1.5, 2, 3, 4], ["a"], [None] * 4),
    *([True] * 4, [math.nan] * 4, [1e308] * 4, [1] * 33, [1] * 5000, {"name": 1}, {"name": "regular"}),
    *(
        {"id": "zstd"},
        {"id": "nothing"},
        {"id": "blosc", "clevel": 99},
        {"name": "gzip", "configuration": {"level": 99}},
    ),
    *({"": {}}, {"name": "c", "type": "channel"}, _nested(40, "list"), _nested(40, "dict"), _nested(400, "list")),
]

# fmt: off
KNOWN = {
    "shape": [[10**15] * 4, [2**63] * 4, [0] * 4, [-1, 6, 8, 10], [2, 6, 8], [2] * 40, 10**15, [2, 6, 8, 10.0]],
    "chunks": [[10**9] * 4, [0] * 4, [1, 4, 4], [2**63] * 4, [1, 4, 4, -4], [1, 4096, 4096, 4096], None, 4],
    "chunk_shape": [[10**9] * 4, [0] * 4, [1, 4, 4], [2**63] * 4, [1, 3, 5, 7], [2, 4096, 4096, 4096], None, 4],
    "dtype": ["<f4", ">i8", "|b1", "<c8", "<U4", "|O", "<m8[ns]", "|V8", "u3", "|V999999999999", [["a", "<u2"]], 5, ""],
    "data_type": ["float32", "r8", "r99999999999", "complex64", "string", "uint3", {"name": "struct"}, 5, ""],
    "fill_value": ["NaN", "Infinity", "0x00", -1, 1e400, 2**70, [1], {}, None, "x", True],
    "order": ["F", "Z", None, 5],
    "dimension_separator": ["/", "x", "", None, 7],
    "separator": [".", "x", "", None, 7],
    "compressor": [None, {"id": "gzip"}, {"id": "pickle"}, {"id": "zstd", "level": "x"}, {"id": 7}, {}, [], "zstd"],
    "filters": [[], [{"id": "delta", "dtype": "<u2"}], [{"id": "delta", "dtype": "zz"}], [{"id": "pickle"}], [7], {}],
    "codecs": [[], ["bytes"], [{"name": "bytes"}], [{"name": "zstd"}], [{"name": "crc32c"}], [7], {}, ["nothing"]],
    "index_location": ["start", "middle", None],
    "index_codecs": [[], ["bytes"], [{"name": "crc32c"}], None],
    "node_type": ["array", "group", "other", None],
    "zarr_format": [2, 3, 4, "3", None, 3.0],
    "dimension_names": [["z", "y", "x"], ["q"] * 4, ["c", "c", "y", "x"], [None] * 4, ["x", "y", "z", "c"], "czyx", 4],
    "path": ["..", "../..", "../../etc", "/etc", "a/../b", "", ".", "0/", "//0", "http://x/y", "\x00", "x" * 5000, 0],
    "scale": [[1, 2], [0] * 4, [-1] * 4, [math.nan] * 4, [math.inf] * 4, [1e308] * 4, ["1"] * 4, [[1]] * 4, 1, None],
    "translation": [[1, 2], [math.nan] * 4, [1e308] * 4, ["1"] * 4, {}, None],
    "type": ["scale", "translation", "affine", "channel", "time", "space", None, 7, []],
    "name": ["c", "z", "t", "q", "", None, 7, "bytes", "zstd", "sharding_indexed", "regular", "rectangular", "default"],
    "unit": ["nanometer", "parsec", "", None, 7, [], {}],
    "axes": [[], "zyx", ["z", "y", "x"], ["c", "z", "y", "x"], ["y", "y", "y", "y"], [{"name": "z"}] * 4, None, 5],
    "datasets": [[], [{}], [[]], None, {}, "0", [{"path": "0"}], [{"path": "0", "coordinateTransformations": []}] * 3],
    "multiscales": [[], [{}], [None], {}, "x", None, [[]]],
    "coordinateTransformations": [[], [{}], [{"type": "identity"}], [7], None, {}],
    "offset": [math.nan, "x", None, 10**400],
    "wells": [[], {}, None, [None], ["A"], [{}]],
    "images": [[], {}, None, [None], [{}]],
    "attributes": [{}, [], None, 5],
    "ome": [{}, [], None, {"multiscales": 5}],
    "configuration": [{}, [], None, {"chunk_shape": [0]}],
}
# fmt: on
"""Values with a purpose, by the key that they are given to."""


def _places(tree, path=()) -> Iterator[tuple]:
    """Every place below the root of a tree, as a path of keys."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        yield (*path, key)
        yield from _places(value, (*path, key))


def _damage(tree, draw, known):
    """Change one place of a tree."""
    places = list(_places(tree))
    if known:
        places = [path for path in places if path[-1] in KNOWN] or places
    if not places:
        return
    path = draw.choice(places)
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    key = path[-1]
    if known and key in KNOWN:
        parent[key] = copy.deepcopy(draw.choice(KNOWN[key]))
        return
    draw.choice((_replace, _replace, _remove, _misspell, _repeat, _shuffle, _wrap))(parent, key, draw)


def _replace(parent, key, draw):
    parent[key] = copy.deepcopy(draw.choice(VALUES))


def _remove(parent, key, draw):
    del parent[key]


def _misspell(parent, key, draw):
    if isinstance(parent, dict):
        parent[key[:-1] + draw.choice("xyz ")] = parent.pop(key)
    else:
        _replace(parent, key, draw)


def _repeat(parent, key, draw):
    """More of the same."""
    value = parent[key]
    if isinstance(value, list):
        parent[key] = copy.deepcopy(value * draw.choice((2, 10)))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        parent[key] = value * draw.choice((-1, 0, 10**6, 10**15))
    elif isinstance(parent, list):
        parent.append(copy.deepcopy(value))
    else:
        parent[f"{key}2"] = copy.deepcopy(value)


def _shuffle(parent, key, draw):
    value = parent[key]
    if isinstance(value, list):
        draw.shuffle(value)
    elif isinstance(parent, list):
        parent.reverse()
    else:
        others = sorted(set(parent) - {key})
        if others:
            other = draw.choice(others)
            parent[key], parent[other] = parent[other], parent[key]


def _wrap(parent, key, draw):
    parent[key] = draw.choice(
        ([parent[key]], {"name": parent[key]}, {key if isinstance(key, str) else "0": parent[key]})
    )


# --- text -------------------------------------------------------------------------------------------------------------


def _at(content, draw):
    return draw.randrange(len(content))


def _flip(content, draw):
    changed = bytearray(content)
    changed[_at(content, draw)] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _insert(content, draw):
    at = _at(content, draw)
    what = draw.choice((b"\xff\xfe", b"\x00", b"{", b"]", b"NaN", b"-", b'"', b"\\u", b"1e999", b"9" * 5000))
    return content[:at] + what + content[at:]


def _swap(content, draw):
    """Give a number's place to another one, or to none."""
    digits = [n for n, byte in enumerate(content) if 48 <= byte <= 57]
    at = draw.choice(digits) if digits else 0
    what = draw.choice((b"-1", b"1e400", b"NaN", b"1" + b"0" * 5000, b"null", b'"7"', b"[[[[7]]]]", b"0.5"))
    return content[:at] + what + content[at + 1 :]


TEXTS = [
    lambda content, draw: content[: _at(content, draw)],
    lambda content, draw: b"",
    lambda content, draw: content + content,
    lambda content, draw: b"\xef\xbb\xbf" + content,
    lambda content, draw: content.decode().encode("utf-16"),
    lambda content, draw: b"[" * draw.choice((10, 100_000)) + b"]" * 10,
    lambda content, draw: b'{"a":' * 100_000,
    lambda content, draw: draw.choice((b"null", b"5", b'"x"', b"[]", b"{}", b"[{}]", b"NaN", b"<html></html>")),
    lambda content, draw: bytes(draw.randrange(256) for _ in range(200)),
    lambda content, draw: b'{"zarr_format": 3, ' + content[1:],
    *[_flip] * 4,
    *[_insert] * 4,
    *[_swap] * 4,
]
