"""Spelling of volumes: `PATH`, `PATH::LEVEL`, and URLs."""

from __future__ import annotations

import re
from pathlib import Path

_URL = re.compile(r"^(?:[A-Za-z0-9+.-]+::)*[A-Za-z][A-Za-z0-9+.-]+://")

_SUFFIXES = (
    *(".ome.zarr", ".zarr", ".nii.gz", ".nii", ".ome.tiff", ".ome.tif", ".tiff", ".tif"),
    *(".npy", ".npz", ".png", ".dcm"),
)


def split_level(path: str) -> tuple[str, int | None]:
    """Split `PATH::2` into `("PATH", 2)`; the level is `None` where the path names none.

    Raises:
        ValueError: where the part behind `::` is no level.
    """
    base, mark, level = path.rpartition("::")
    if not mark:
        return path, None
    if level.isdecimal() and base:
        return base, int(level)
    if is_url(path) and "/" in level:  # a chained URL such as simplecache::s3://bucket/x.zarr
        return path, None
    raise ValueError(f"{path}: expected PATH::LEVEL with a level 0, 1, 2, ... behind '::', got '{level}'")


def is_url(path: str) -> bool:
    """Whether a path is a URL such as `s3://bucket/volume.zarr`."""
    return _URL.match(path) is not None


def repair_url(path: str) -> str:
    """Give a URL back the slash that it lost as a `pathlib.Path`: `s3:/bucket` -> `s3://bucket`."""
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]+):/(?=[^/])", r"\1://", path)


def join(path: str, part: str) -> str:
    """Path of a member of a store, for local paths and URLs."""
    return f"{path.rstrip('/')}/{part}"


def parents(path: str, depth: int) -> list[tuple[str, str]]:
    """The nearest `depth` parents of a path, each with the path's name inside it."""
    scheme, mark, rest = path.rstrip("/").rpartition("://")
    pieces = rest.split("/")
    counts = range(1, min(depth, len(pieces) - 1) + 1)
    return [(f"{scheme}{mark}{'/'.join(pieces[:-n])}" or "/", "/".join(pieces[-n:])) for n in counts]


def short_name(path: str) -> str:
    """Name to show, from the store's own folder on: `/a/scan.zarr/labels/cells` -> `scan/labels/cells`."""
    pieces = [piece for piece in path.rstrip("/").split("/") if piece]
    first = next((n for n, piece in enumerate(pieces) if piece.endswith(".zarr")), len(pieces) - 1)
    name = pieces[first] if pieces else path
    stem = next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.lower().endswith(suffix)), name)
    return "/".join([stem, *pieces[first + 1 :]])


def require_exists(path: str) -> None:
    """Check that a local path exists.

    Raises:
        FileNotFoundError: that names the nearest parent that does exist.
    """
    target = Path(path)
    if target.exists():
        return
    parent = target.absolute().parent
    while not parent.exists():
        parent = parent.parent
    raise FileNotFoundError(f"{path} does not exist; the nearest folder that does is {parent}")
