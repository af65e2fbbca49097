"""Which objects stay: by size and by whether the volume cuts them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.affines import check_spacing
from .inputs import Array
from .objects import ObjectTable
from .relabelling import relabel


def keep_objects(
    table: ObjectTable,
    *,
    min_size: float | None = None,
    max_size: float | None = None,
    largest: int | None = None,
    drop_border: bool = False,
    spacing: Sequence[float] | None = None,
) -> NDArray[np.uint64]:
    """Ids of the objects that stay.

    Args:
        table: of the whole volume.
        min_size, max_size: sizes that stay, both included; `None`: no limit.
        largest: how many of the largest objects that pass the other filters stay (of equal ones the smaller id);
            `None`: all.
        drop_border: whether objects that touch the volume's border go.
        spacing: makes the sizes physical volumes (areas in 2D); `None`: numbers of voxels.

    Returns:
        ids, ascending.

    Raises:
        ValueError: when a size or a number is below 0, or nothing lies between the sizes.
    """
    for name, value in (("min_size", min_size), ("max_size", max_size), ("largest", largest)):
        if value is not None and not value >= 0:
            raise ValueError(f"{name} must be 0 or more, or None; got {value!r}")
    if min_size is not None and max_size is not None and min_size > max_size:
        raise ValueError(f"min_size must not be larger than max_size, got {min_size!r} and {max_size!r}")
    voxel = 1.0 if spacing is None else math.prod(check_spacing(spacing, table.starts.shape[1]))
    sizes = table.sizes * voxel
    stays = np.ones(len(table), dtype=bool)
    if min_size is not None:
        stays &= sizes >= min_size
    if max_size is not None:
        stays &= sizes <= max_size
    if drop_border:
        stays &= ~table.touches_border
    kept = table.ids[stays]
    if largest is None:
        return kept
    return np.sort(kept[np.argsort(-table.sizes[stays], kind="stable")][:largest])


def select_objects(labels: Any, ids: Any, *, sequential: bool = False) -> Array:
    """Remove all other objects.

    Args:
        labels: ids D H W or H W, 0 = background.
        ids: what stays, ascending, such as `keep_objects` returns; ids that the array lacks do no harm.
        sequential: whether the n objects that stay are numbered 1..n in the order of `ids` (of the whole volume, so
            that blocks agree).

    Returns:
        new array; in the smallest unsigned dtype that holds all of `ids`, or their number.

    Raises:
        TypeError: when labels or ids are floats.
    """
    kept = np.asarray(ids)
    numbers = np.arange(1, len(kept) + 1) if sequential else kept
    return relabel(labels, kept, numbers)
