"""`export-objects`: chosen objects of a segmentation as surface meshes or skeletons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..geometry import did_you_mean
from ..segmentation import (
    ObjectTable,
    merge_tables,
    object_table,
    skeletonize,
    surface_mesh,
    write_obj,
    write_ply,
    write_swc,
)
from ..volumes import Volume, lattice, open_volume, touched_blocks

_BLOCK = (128, 128, 128)

Export = Callable[[Path, np.ndarray, Sequence[float], Sequence[float]], None]

_FORMATS: dict[str, Export] = {
    "ply": lambda path, mask, spacing, translation: write_ply(path, surface_mesh(mask, spacing, translation)),
    "obj": lambda path, mask, spacing, translation: write_obj(path, surface_mesh(mask, spacing, translation)),
    "swc": lambda path, mask, spacing, translation: write_swc(path, skeletonize(mask, spacing, translation)),
}


def export_objects(
    segmentation: str | Path,
    output: str | Path,
    ids: Sequence[int] | int | None = None,
    *,
    largest: int | None = None,
    format: str = "ply",
    max_voxels: int = 10**9,
    dry_run: bool = False,
    overwrite: bool = False,
) -> str:
    """Write objects as `<output>/<id>.<format>`, in physical coordinates x y z.

    Only the box around an object is read.

    Args:
        segmentation: path of a volume of ids; `PATH::2` is a coarser level, which gives smaller files.
        output: folder.
        ids: which objects.
        largest: so many of the largest objects, instead.
        format: `ply` or `obj` (surface mesh), `swc` (skeleton).
        max_voxels: of the box around an object.
        dry_run: say which files would be written, and write none.
        overwrite: replace files that exist.

    Returns:
        what was written.

    Raises:
        FileExistsError: where a file exists.
        ValueError: for ids that the segmentation lacks, a format that is not known, or an object that is too large.
    """
    if format not in _FORMATS:
        raise ValueError(
            f"format must be one of {', '.join(_FORMATS)}; got {format!r}{did_you_mean(format, list(_FORMATS))}"
        )
    if (ids is None) == (largest is None):
        raise ValueError(f"give ids or largest, such as --ids 3,17 or --largest 10; got {ids} and {largest}")
    volume, folder = open_volume(segmentation), Path(output)
    table = table_of(volume)
    if ids is None:
        chosen = table.ids[np.argsort(-table.sizes, kind="stable")][:largest].tolist()
    else:
        chosen = np.atleast_1d(np.asarray(ids, dtype=np.uint64)).tolist()
    if missing := sorted(set(chosen) - set(table.ids.tolist())):
        raise ValueError(f"{volume.path} has no objects {missing}; it has {len(table)} objects")
    paths = [folder / f"{number}.{format}" for number in chosen]
    boxes = [_box_of(table, number, max_voxels, volume) for number in chosen]
    if dry_run:
        lines = [f"{path}: a box of {size} voxels" for path, (_, size) in zip(paths, boxes, strict=True)]
        return "\n".join([*lines, f"dry run: {len(paths)} files are not written"])
    if not overwrite and (existing := [path for path in paths if path.exists()]):
        raise FileExistsError(f"{existing[0]} exists; choose another folder, or overwrite = true")
    folder.mkdir(parents=True, exist_ok=True)
    for number, path, (start, size) in zip(chosen, paths, boxes, strict=True):
        mask = volume.read(start, size)[0] == number  # 1 D H W -> D H W
        shift = [t + s * at for t, s, at in zip(volume.translation, volume.spacing, start, strict=True)]
        _FORMATS[format](path, mask, volume.spacing, shift)
    return f"{len(paths)} objects as {format} in {folder}"


def _box_of(table: ObjectTable, number: int, max_voxels: int, volume: Volume) -> tuple[list[int], list[int]]:
    """First voxel and size of the box around an object."""
    row = int(np.searchsorted(table.ids, number))
    start, size = table.starts[row].tolist(), (table.stops[row] - table.starts[row]).tolist()
    if np.prod(size, dtype=float) > max_voxels:
        raise ValueError(
            f"object {number} lies in a box of {size} voxels, more than max_voxels = {max_voxels:,}; take a "
            f"coarser level ({volume.path}::1), or raise the limit"
        )
    return start, size


def table_of(volume: Volume) -> ObjectTable:
    """Table of all objects of a volume, read block by block where something is stored."""
    if volume.channels != 1:
        raise ValueError(f"{volume.path} has {volume.channels} channels; expected ids, one channel")
    stored: set[Any] | None = touched_blocks(volume.stored_chunks(inside_shards=True), _BLOCK)
    if volume.fill_value:
        stored = None  # what is not stored is an object
    tables = [object_table(np.zeros((1, 1, 1), np.uint8))]
    for start, size in lattice(volume.spatial_shape, _BLOCK):
        if stored is None or tuple(s // b for s, b in zip(start, _BLOCK, strict=True)) in stored:
            tables.append(object_table(volume.read(start, size)[0], start, volume.spatial_shape))
    return merge_tables(tables)
