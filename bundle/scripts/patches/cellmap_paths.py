"""Folders whose names follow a pattern, in a local tree or a bucket: `{dataset}.zarr/recon-*/{crop}`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from zarr.abc.store import Store
from zarr.core.sync import sync

from ..volumes import is_url
from ..volumes.paths import join
from ..volumes.stores import open_store

_AT_ONCE = 16
"""Folders that are listed at the same time."""

_FIELD = re.compile(r"\{(\w+)\}")
_WILD = re.compile(r"[*?]")


@dataclass(frozen=True)
class FoundPath:
    """A path that fits a pattern, and what stands for the pattern's fields in it."""

    path: str
    fields: Mapping[str, str] = field(default_factory=dict)


def find_paths(pattern: str, keep: Mapping[str, Sequence[str]] | None = None) -> list[FoundPath]:
    """Paths that fit a pattern, in order of their names.

    Only parts of the pattern that hold a field or a wildcard are looked for. Those before and after them are taken as
    they are, so that a path need not exist to its end.

    Args:
        pattern: path or URL. `{name}` stands for a part of a folder's name, the same one wherever it is repeated; `*`
            and `?` are wildcards within a folder's name.
        keep: of the values of a field those that fit one of these wildcards.

    Raises:
        CannotListError: for a server that does not tell what it stores.
    """
    scheme, mark, rest = pattern.rpartition("://")
    root, *parts = rest.split("/")
    found = [FoundPath(scheme + mark + root)]
    if not mark:  # a local path: its first part may be a pattern as well, and is empty where the path is absolute
        found, parts = [FoundPath("")], ([root, *parts] if root else ["/", *parts])
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for part in filter(None, parts):
            found = [
                path for paths in pool.map(lambda at, part=part: _step(at, part, keep or {}), found) for path in paths
            ]
    return found


def child_folders(path: str) -> list[str]:
    """Names of the folders in a folder, in order; none where it does not exist. Hidden ones are left out."""
    if is_url(path):
        names = sync(_listed(open_store(path)))
    else:
        folder = Path(path or ".")
        names = [entry.name for entry in folder.iterdir() if entry.is_dir()] if folder.is_dir() else []
    return sorted((name for name in names if not name.startswith(".")), key=natural_order)


def fits(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name fits one of the wildcards."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Key by which names are sorted so that crop9 comes before crop10."""
    pieces = [piece for piece in re.split(r"(\d+)", name) if piece]
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces]


async def _listed(store: Store) -> list[str]:
    return [name.rstrip("/") async for name in store.list_dir("")]


def _step(at: FoundPath, part: str, keep: Mapping[str, Sequence[str]]) -> list[FoundPath]:
    """What a path becomes by one more part of the pattern."""
    part = _FIELD.sub(lambda match: at.fields.get(match[1], match[0]), part)
    if not _FIELD.search(part) and not _WILD.search(part):
        return [FoundPath(_below(at.path, part), at.fields)]
    expected = re.compile(_expression(part))
    found = []
    for name in child_folders(at.path):
        match = expected.fullmatch(name)
        if match and all(fits(value, keep.get(key, "*")) for key, value in match.groupdict().items()):
            found.append(FoundPath(_below(at.path, name), {**at.fields, **match.groupdict()}))
    return found


def _below(path: str, name: str) -> str:
    return join(path, name) if path.strip("/") else f"{path}{name}"


def _expression(part: str) -> str:
    """Regular expression for one part of a pattern."""
    seen: set[str] = set()
    pieces = []
    for piece in re.split(r"(\{\w+\}|[*?])", part):
        name = _FIELD.fullmatch(piece)
        if name and name[1] in seen:
            pieces.append(f"(?P={name[1]})")
        elif name:
            seen.add(name[1])
            pieces.append(f"(?P<{name[1]}>.+?)")
        else:
            pieces.append({"*": ".*", "?": "."}.get(piece, re.escape(piece)))
    return "".join(pieces)
