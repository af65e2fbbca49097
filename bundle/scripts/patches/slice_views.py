"""Volumes that are seen along several axes: rows of the table for each, and where their patches lie in the store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..volumes import SLICE_AXES, STORED_AXES, check_slice_axes, to_stored
from .table import axes_of

_Z_ALONE = ["z"]


def slice_volumes(
    volumes: Sequence[Mapping[str, Any]],
    slice_axes: Sequence[str] = ("z",),
    patch_size: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
    """Every volume once for each axis along which patches are to be slices of it.

    Patches of one voxel along z are slices along z; so that they may be slices along y or x, a copy of the volume's row
    says that its axes are seen in another order (`axes`). A row with `axes` of its own stays as it is.

    This is for slices alone. Thick patches that are to be seen from all sides are turned while they are augmented, by
    `RandTransposed` or `random_space`; a volume of its own for each axis would find each of them three times.

    Args:
        volumes: the `volumes` table.
        slice_axes: of "z", "y", "x".
        patch_size: voxels along the axes of the patches, the first of which is across the slice; `None`: not checked.

    Returns:
        rows in the order given, the views of a volume one behind the other.

    Raises:
        ValueError: for axes that are unknown, named twice or none, and for others than z with patches of several
            slices.
    """
    axes = list(slice_axes)
    check_slice_axes(axes)
    if axes != _Z_ALONE and patch_size is not None and patch_size[0] != 1:
        raise ValueError(
            f"slice_axes = {axes} needs patches of one slice, patch_size = [1, H, W]; got {list(patch_size)}. Make the "
            'first number 1, or leave slice_axes at ["z"] and let thick patches be turned by augmentation '
            "(scripts.transforms.RandTransposed in 'augment')"
        )
    rows: list[dict[str, Any]] = []
    for volume in volumes:
        if volume.get("axes") is not None:
            rows.append(dict(volume))
            continue
        for axis in axes:
            order = SLICE_AXES[axis]
            rows.append(dict(volume) if order == STORED_AXES else {**volume, "axes": order})
    return rows


def stored_rows(volumes: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[int]]:
    """What the rows of a table show, whatever the order of axes in which they do.

    Args:
        volumes: the `volumes` table.

    Returns:
        rows without `axes`, those that differ in nothing else once; and for each row of the table which of them it is.
    """
    rows: list[dict[str, Any]] = []
    numbers: dict[tuple[str, int], int] = {}
    index = []
    met: Counter[tuple[str, str]] = Counter()
    for volume in volumes:
        row = {key: value for key, value in volume.items() if key != "axes"}
        name = json.dumps(row, sort_keys=True, default=str)
        view = name, axes_of(volume)
        place = name, met[view]  # a row that is listed twice is two volumes
        met[view] += 1
        if place not in numbers:
            numbers[place] = len(rows)
            rows.append(row)
        index.append(numbers[place])
    return rows, index


def stored_patches(patches: Sequence[Mapping[str, Any]], volumes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Where patches lie in what is stored.

    Args:
        patches: `volume`, an index into the table, `start` and `size` along its axes.
        volumes: the `volumes` table.

    Returns:
        `volume`, an index into `stored_rows`, `start` and `size` along z, y, x.
    """
    index = stored_rows(volumes)[1]
    placed = []
    for patch in patches:
        axes = axes_of(volumes[patch["volume"]])
        box = {key: list(to_stored(patch[key], axes)) for key in ("start", "size")}
        placed.append({"volume": index[patch["volume"]], **box})
    return placed


def join_slices(patches: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes that cover what patches do, in which slices one behind the other are one box.

    Of slices there are as many as the volume is deep, and those of one view cross all those of another one.

    Args:
        patches: `volume`, `start` and `size`, as `stored_patches` returns them.

    Returns:
        the boxes' volume N, start N 3 and size N 3, along z, y, x.
    """
    volumes, starts, sizes = [], [], []
    for size in sorted({tuple(patch["size"]) for patch in patches}):
        rows = np.array([[p["volume"], *p["start"]] for p in patches if tuple(p["size"]) == size])  # N: volume z y x
        extents = np.tile(size, (len(rows), 1))
        if 1 in size:
            across = 1 + size.index(1)
            beside = [column for column in range(4) if column != across]
            rows = rows[np.lexsort((rows[:, across], *rows[:, beside].T))]
            step = np.diff(rows, axis=0)
            begins = np.flatnonzero(np.r_[True, (step[:, beside] != 0).any(axis=1) | (step[:, across] > 1)])
            ends = np.r_[begins[1:], len(rows)] - 1
            extents = extents[begins]
            extents[:, across - 1] = rows[ends, across] - rows[begins, across] + 1
            rows = rows[begins]
        volumes.append(rows[:, 0])
        starts.append(rows[:, 1:])
        sizes.append(extents)
    return np.concatenate(volumes), np.concatenate(starts), np.concatenate(sizes)
