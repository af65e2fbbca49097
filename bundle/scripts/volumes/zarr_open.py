"""Find the array that a zarr path means: a plain array, a level of a pyramid, or the pyramid's group."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import zarr
from zarr.abc.store import Store

from ..geometry import did_you_mean
from .errors import MetadataError, RefusedError, RemoteError
from .grid import Triple, nearest_spacing
from .ngff import Level, Multiscale, parse_multiscale
from .paths import is_url, join, parents
from .remote_store import RemoteStore
from .source import ArraySource, OpenedArray
from .stores import open_store
from .tensorstore_source import fastest_source
from .zarr_nodes import members, open_array, open_group, open_node

logger = logging.getLogger(__name__)

_MAX_LISTED = 12


def open_zarr(path: str, level: int | None, spacing: Triple | None) -> OpenedArray:
    """Open a zarr array, or a level of an OME-Zarr group.

    Args:
        path: folder or URL of an array, of a level within an OME-Zarr group, or of such a group.
        level: index into the group's datasets; wins over `spacing`.
        spacing: picks the level whose spacing is nearest; default is level 0.

    Raises:
        FileNotFoundError: where a URL holds no zarr.
        RemoteError: for a server that does not answer, or refuses.
        ValueError: for a group without image, a plate, or a level that does not exist.
    """
    node = _open_node(path)
    if isinstance(node, zarr.Array):
        return _open_array(path, node, level)
    attributes = dict(node.attrs)
    multiscale = parse_multiscale(attributes, path)
    if multiscale is None:
        raise ValueError(_no_image(path, node, attributes))
    chosen = multiscale.levels[_pick_level(path, multiscale, level, spacing)]
    array_path = join(path, chosen.path)
    store = open_store(array_path)
    try:
        array = open_array(array_path, store)
    except FileNotFoundError:
        _raise_refusal(store)
        raise FileNotFoundError(
            f"{path}: the metadata list '{chosen.path}', but no array is there; levels are {multiscale.table()}"
        ) from None
    return _level_of_group(fastest_source(array_path, array), array, multiscale, chosen, attributes)


def _open_node(path: str) -> zarr.Array[Any] | zarr.Group:
    store = open_store(path)
    try:
        return open_node(path, store)
    except FileNotFoundError:
        _raise_refusal(store)
        if is_url(path):
            raise FileNotFoundError(f"{path}: no zarr array or group is there") from None
        inside = sorted(entry.name for entry in Path(path).iterdir())[:_MAX_LISTED]
        raise ValueError(
            f"{path} is a folder without zarr array or group; expected zarr.json, .zarray or .zgroup in it, "
            f"found {', '.join(inside) or 'nothing'}"
        ) from None


def _open_array(path: str, array: zarr.Array[Any], level: int | None) -> OpenedArray:
    if level not in (None, 0):
        raise ValueError(f"{path} is one array, so level {level} does not exist; expected level 0, or its group's path")
    source, attributes = fastest_source(path, array), dict(array.attrs)
    full_path = path if is_url(path) else str(Path(path).absolute())
    for parent, inner in parents(full_path, depth=1 if is_url(path) else 3):
        group_attributes = _group_attributes(parent)
        multiscale = parse_multiscale(group_attributes, parent) if group_attributes else None
        for candidate in multiscale.levels if multiscale else ():
            if multiscale is not None and candidate.path.strip("/") == inner:
                return _level_of_group(source, array, multiscale, candidate, group_attributes)
    names = getattr(array.metadata, "dimension_names", None)
    letters = "".join(names).lower() if names and all(names) else ""
    axes = letters if len(letters) == array.ndim and set(letters) <= set("tczyx") else None
    return OpenedArray(source, axes, None, attributes)


def _level_of_group(
    source: ArraySource, array: zarr.Array[Any], multiscale: Multiscale, level: Level, attributes: dict[str, Any]
) -> OpenedArray:
    return OpenedArray(source, multiscale.axes, level.grid, attributes | dict(array.attrs))


def _group_attributes(path: str) -> dict[str, Any]:
    try:
        return dict(open_group(path).attrs)
    except RemoteError:  # a server that is out of order: there may be a group
        raise
    except OSError:  # no group there, or not ours to read
        return {}
    except MetadataError as error:  # of a folder above, which need not have to do with the array
        logger.warning("%s. What it says about the arrays inside, such as their spacing, is not known", error)
        return {}


def _raise_refusal(store: Store) -> None:
    """Raise where metadata are missing for want of permission."""
    if isinstance(store, RemoteStore) and store.refusal:
        raise RefusedError(store.refusal) from None


def _pick_level(path: str, multiscale: Multiscale, level: int | None, spacing: Triple | None) -> int:
    if level is not None:
        if not 0 <= level < len(multiscale.levels):
            raise ValueError(f"{path}: level {level} does not exist; levels are {multiscale.table()}")
        return level
    if spacing is None:
        return 0
    return nearest_spacing([candidate.grid.spacing for candidate in multiscale.levels], spacing)


def _no_image(path: str, group: zarr.Group, attributes: dict[str, Any]) -> str:
    content = attributes.get("ome", attributes)
    content = content if isinstance(content, dict) else {}
    if "plate" in content:
        wells = _paths_in(content["plate"], "wells")
        example = f"{wells[0]}/0" if wells else "A/1/0"
        return (
            f"{path} is a plate of {len(wells)} wells, expected one image; name a field's image, "
            f"such as {join(path, example)} (wells: {', '.join(wells[:_MAX_LISTED])})"
        )
    if "well" in content:
        fields = _paths_in(content["well"], "images")
        return f"{path} is a well, expected one image; name one of its fields: {', '.join(fields)}"
    images, arrays = _members(path, group)
    found = [f"arrays {', '.join(arrays)}"] if arrays else []
    found += [f"groups {', '.join(images)}"] if images else []
    hint = did_you_mean("multiscales", content) if content else ""
    return (
        f"{path} is a zarr group without OME-Zarr image (no 'multiscales'{hint}), expected an array or an image; "
        f"name one of the things inside: {'; '.join(found) or 'nothing is there'}"
    )


def _paths_in(content: Any, key: str) -> list[str]:
    """Paths that the metadata of a plate or a well list; what is no such list lists none."""
    rows = content.get(key) if isinstance(content, dict) else None
    return [
        str(row["path"]) for row in (rows if isinstance(rows, list) else []) if isinstance(row, dict) and "path" in row
    ]


def _members(path: str, group: zarr.Group) -> tuple[list[str], list[str]]:
    try:
        found = members(path, group, depth=3)
    except (OSError, MetadataError):  # a server that cannot list, or members that cannot be opened
        return [], []
    arrays = [join(path, name) for name, node in found if isinstance(node, zarr.Array)]
    groups = [join(path, name) for name, node in found if isinstance(node, zarr.Group)]
    return groups[:_MAX_LISTED], arrays[:_MAX_LISTED]
