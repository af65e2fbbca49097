"""OME-Zarr (NGFF) multiscale metadata, versions 0.4 and 0.5: read tolerantly, written strictly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import MetadataError
from .grid import Grid, Triple, common_unit, unit_word
from .metadata_documents import shown

VERSIONS = ("0.4", "0.5")


@dataclass(frozen=True)
class Level:
    """One array of a pyramid: its path in the group, and its geometry."""

    path: str
    grid: Grid


@dataclass(frozen=True)
class Multiscale:
    """A pyramid: one letter of `tczyx` per axis, and levels from fine to coarse."""

    axes: str
    levels: tuple[Level, ...]

    def table(self) -> str:
        """The levels in words, for errors."""
        return ", ".join(
            f"{n} ('{level.path}', spacing {' '.join(f'{s:g}' for s in level.grid.spacing)})"
            for n, level in enumerate(self.levels)
        )


def parse_multiscale(attributes: Mapping[str, Any], where: str) -> Multiscale | None:
    """Read the first multiscale image of a group's attributes.

    Units, names and types of axes may be missing; what cannot be understood is an error.

    Args:
        attributes: the group's attributes (0.5: below `ome`; 0.4: at top).
        where: names the store in errors.

    Returns:
        the pyramid, or `None` where the attributes describe no image.

    Raises:
        ValueError: for metadata that break the specification, in the words of `ome_zarr_models`.
    """
    content = attributes.get("ome", attributes)
    entries = content.get("multiscales") if isinstance(content, Mapping) else None
    if not entries:
        return None
    try:
        entry = entries[0]
        axes, units = _axes(entry, where)
        outer = entry.get("coordinateTransformations") or ()
        levels = tuple(
            Level(_path_inside(d["path"], where), _grid(axes, units, [*d["coordinateTransformations"], *outer], where))
            for d in entry["datasets"]
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        fault = _specification_fault(content) or f"{type(error).__name__}: {error}"
        raise MetadataError(f"{where}: the OME-Zarr metadata cannot be understood: {fault}") from error
    if not levels:
        raise MetadataError(f"{where}: the OME-Zarr metadata list no datasets; expected at least one")
    return Multiscale(axes, levels)


def group_metadata(
    version: str, *, name: str, channel_axis: bool, paths: Sequence[str], grids: Sequence[Grid], method: str
) -> dict[str, Any]:
    """Attributes of an OME-Zarr image group, made by `ome_zarr_models`, hence valid.

    Args:
        version: `"0.4"` or `"0.5"`.
        name: name of the image.
        channel_axis: whether the arrays are c z y x, else z y x.
        paths: array of each level, fine to coarse.
        grids: geometry of each level.
        method: how the coarser levels were made.
    """
    from ome_zarr_models import v04, v05  # half a second of import that reading never needs

    models: Any = v05 if version == "0.5" else v04
    word = unit_word(grids[0].unit)
    axes: list[dict[str, Any]] = [{"name": "c", "type": "channel"}] if channel_axis else []
    axes += [{"name": a, "type": "space"} | ({"unit": word} if word else {}) for a in "zyx"]
    extra = 1 if channel_axis else 0
    datasets = [
        {
            "path": path,
            "coordinateTransformations": [
                {"type": "scale", "scale": [1.0] * extra + list(grid.spacing)},
                {"type": "translation", "translation": [0.0] * extra + list(grid.translation)},
            ],
        }
        for path, grid in zip(paths, grids, strict=True)
    ]
    entry: dict[str, Any] = {"name": name, "axes": axes, "datasets": datasets, "type": method}
    if version == "0.4":
        entry["version"] = version
    multiscale = models.multiscales.Multiscale.model_validate(entry).model_dump(mode="json", exclude_none=True)
    return (
        {"ome": {"version": version, "multiscales": [multiscale]}}
        if version == "0.5"
        else {"multiscales": [multiscale]}
    )


def _path_inside(path: Any, where: str) -> str:
    """The path of a dataset, which must not lead out of its group: a store must not name other files of its reader."""
    parts = path.rstrip("/").split("/") if isinstance(path, str) else []
    if not parts or any(part in ("", "..") or not part.isprintable() or "\\" in part for part in parts):
        raise MetadataError(
            f"{where}: the OME-Zarr metadata list a dataset at {shown(path)}; expected a path inside the group, as '0'"
        )
    return str(path)


def _axes(entry: Mapping[str, Any], where: str) -> tuple[str, list[str | None]]:
    """Letters of the axes, and the units of z, y, x in stored order of the space axes."""
    letters, units = [], []
    for axis in entry["axes"]:
        row = {"name": axis} if isinstance(axis, str) else axis
        name, kind = str(row["name"]).lower(), row.get("type")
        letter = {"time": "t", "channel": "c"}.get(str(kind), name)
        if letter not in tuple("tczyx"):
            raise ValueError(
                f"{where}: axis {shown(row['name'])} of type {shown(kind)} is none of t, c, z, y, x; "
                "expected a volume with these axes only"
            )
        letters.append(letter)
        units.append(row.get("unit") if letter in "zyx" else None)
    return "".join(letters), units


def _grid(axes: str, units: Sequence[str | None], transforms: Sequence[Mapping[str, Any]], where: str) -> Grid:
    """Apply scales and translations in order to voxel 0 and to one step along each axis."""
    spacing, position = np.ones(len(axes)), np.zeros(len(axes))
    for transform in transforms:
        kind = transform["type"]
        if kind in ("scale", "translation"):
            vector = _numbers(transform[kind], kind, axes, where)
            with np.errstate(over="ignore", invalid="ignore"):  # what does not come out finite is refused below
                if kind == "scale":
                    spacing, position = spacing * vector, position * vector
                else:
                    position = position + vector
        elif kind != "identity":
            raise MetadataError(
                f"{where}: coordinate transformation of type {shown(kind)}; expected scale, translation or identity"
            )
    present = [a for a in "zyx" if a in axes]
    unit, factors = common_unit([units[axes.index(a)] for a in present], where)
    factor_of = dict(zip(present, factors, strict=True))
    spacings = _zyx({a: float(spacing[axes.index(a)]) * factor_of[a] for a in present}, 1.0)
    origin = _zyx({a: float(position[axes.index(a)]) * factor_of[a] for a in present}, 0.0)
    if not all(0 < s < math.inf for s in spacings) or not all(map(math.isfinite, origin)):
        raise MetadataError(
            f"{where}: the metadata state spacing {spacings} and translation {origin}; expected finite numbers, and "
            "positive ones as spacing"
        )
    return Grid(spacings, origin, unit)


def _numbers(values: Any, kind: str, axes: str, where: str) -> np.ndarray:
    """One finite number per axis."""
    is_right = isinstance(values, list) and len(values) == len(axes)
    if not is_right or not all(isinstance(v, (int, float)) and _is_finite(v) for v in values):
        raise MetadataError(f"{where}: a {kind} of {shown(values)}; expected one number per axis ({', '.join(axes)})")
    return np.array(values, dtype=float)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond what floats hold
        return False


def _zyx(values: Mapping[str, float], missing: float) -> Triple:
    return values.get("z", missing), values.get("y", missing), values.get("x", missing)


def _specification_fault(content: Mapping[str, Any]) -> str | None:
    """What `ome_zarr_models` finds wrong, in its words."""
    from ome_zarr_models import v04, v05
    from pydantic import ValidationError

    models: Any = v05 if "version" in content else v04
    try:
        models.multiscales.Multiscale.model_validate(content["multiscales"][0])
    except ValidationError as error:
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    except (KeyError, IndexError, TypeError):
        return None
    return None
