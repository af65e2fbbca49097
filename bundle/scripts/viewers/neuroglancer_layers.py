"""What is shown: the volumes behind the paths that somebody names, each with its levels, kind, place and name."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zarr
from zarr.errors import ZarrUserWarning

from ..geometry import did_you_mean
from ..volumes import Grid, Volume, is_url, open_volume, tolerant_volume
from ..volumes.ngff import parse_multiscale
from ..volumes.paths import join, require_exists, split_level
from ..volumes.placement import level_spacings
from ..volumes.zarr_nodes import members, open_node
from .neuroglancer_formats import NotReadByClient, StoredLevel, stored_levels
from .neuroglancer_grids import layer_grids
from .neuroglancer_kinds import LayerKind, checked_kind, layer_kind

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layer:
    """A volume that is shown.

    Args:
        name: by which it is told from others.
        kind: as what it is shown.
        volumes: its levels, fine to coarse.
        grids: where each level lies.
        stored: the levels' arrays, where the client reads them itself; else empty.
        why_read: why Python reads the voxels for the client; empty where it does not.
    """

    name: str
    kind: LayerKind
    volumes: tuple[Volume, ...]
    grids: tuple[Grid, ...]
    stored: tuple[StoredLevel, ...]
    why_read: str

    @property
    def volume(self) -> Volume:
        """The finest level."""
        return self.volumes[0]


def open_layers(
    paths: Sequence[str | Path], kinds: Mapping[str, Any] | None = None, time: int | None = None
) -> list[Layer]:
    """Open volumes as the layers of a page.

    Stored chunks that are damaged are named in a warning when they are met, and read as empty.

    Args:
        paths: each as `open_volume` takes it, `PATH::2` for one level alone; or a zarr group, of which every array and
            image directly inside becomes a layer, such as the targets of a prediction.
        kinds: kind of a layer by its name, or by the last part of its name, instead of what `layer_kind` finds.
        time: which time point, for stores with more than one.

    Raises:
        FileNotFoundError: where nothing is at a path.
        ValueError: for what is no volume, and for kinds that do not fit.
    """
    members = [member for path in paths for member in _members(str(path))]
    level_paths = [_level_paths(member) for member in members]
    faults = _Faults()
    pyramids = [[tolerant_volume(open_volume(path, time=time), faults) for path in levels] for levels in level_paths]
    names = _names([levels[0] for levels in pyramids])
    wanted = _kinds_by_name(kinds or {}, names)
    found = [
        checked_kind(wanted[name], levels[0], name) if name in wanted else layer_kind(levels[0], levels[-1])
        for name, levels in zip(names, pyramids, strict=True)
    ]
    layers = []
    for name, kind, levels, where, grids in zip(
        names, found, pyramids, level_paths, layer_grids(pyramids), strict=True
    ):
        stored: list[StoredLevel] = []
        why_read = ""
        try:
            stored = stored_levels(where, channels_together=kind is LayerKind.NORMALS)
        except NotReadByClient as reason:
            why_read = str(reason)
        layers.append(Layer(name, kind, tuple(levels), tuple(grids), tuple(stored), why_read))
    return layers


class _Faults(dict[str, None]):
    """Messages about damaged chunks, each logged once."""

    def __setitem__(self, message: str, value: None) -> None:
        if message not in self:
            logger.warning("%s", message)
        super().__setitem__(message, value)


def _members(path: str) -> list[str]:
    """The path itself, or the images and arrays directly inside, where it is a zarr group without image."""
    base, level = split_level(path)
    if not is_url(base):
        require_exists(base)
    if level is not None or not (is_url(base) or Path(base).is_dir()):
        return [path]
    try:
        node = open_node(base)
    except (OSError, ValueError):  # `open_volume` says what is there instead
        return [path]
    if isinstance(node, zarr.Array) or parse_multiscale(dict(node.attrs), base) is not None:
        return [path]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZarrUserWarning)  # a group may hold other files: inference leaves its journal
        found = members(base, node)
    inside = [
        name for name, member in found
        if isinstance(member, zarr.Array) or parse_multiscale(dict(member.attrs), join(base, name)) is not None
    ]  # fmt: skip
    return [join(base, name) for name in inside] or [path]


def _level_paths(path: str) -> list[str]:
    """A path for every level; that of the finest is the path itself."""
    base, level = split_level(path)
    count = len(level_spacings(base)) if level is None else 1
    return [path, *(f"{base}::{n}" for n in range(1, count))]


def _names(volumes: Sequence[Volume]) -> list[str]:
    """Short names; volumes of one name get their folder's, too, and a number where that is the same as well."""
    short = [volume.name for volume in volumes]
    names: list[str] = []
    for volume, name in zip(volumes, short, strict=True):
        pieces = split_level(volume.path)[0].rstrip("/").split("/")
        depth = name.count("/") + 2
        if short.count(name) > 1 and len(pieces) >= depth:
            name = f"{pieces[-depth]}/{name}"
        number, plain = 2, name
        while name in names:
            name, number = f"{plain} ({number})", number + 1
        names.append(name)
    return names


def _kinds_by_name(kinds: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    if not isinstance(kinds, Mapping):
        raise ValueError(f'kinds: expected names and kinds, such as "{{{names[0]}: labels}}", got {kinds!r}')
    wanted = {}
    short = {name: name.rpartition("/")[2] for name in names}
    for key, kind in kinds.items():
        fitting = [name for name in names if key in (name, short[name])]
        if len(fitting) != 1:
            hint = did_you_mean(key, [*names, *short.values()])
            what = "fits several layers" if fitting else f"is no layer{hint}"
            raise ValueError(f"kinds: '{key}' {what}; the layers are {', '.join(names)}")
        wanted[fitting[0]] = kind
    return wanted
