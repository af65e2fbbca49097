"""How far a training patch may move from where it was found, and what may be read around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from ..volumes import axis_order
from .slice_views import join_slices, stored_patches, stored_rows
from .table import axes_of, open_images, volume_box

_Box = tuple[list[int], list[int]]
"""Start and size."""


def add_start_ranges(
    data: Sequence[Mapping[str, Any]],
    volumes: Sequence[Mapping[str, Any]],
    *,
    jitter: Sequence[int] | int | None = None,
    stride: Sequence[int] | int | None = None,
    validation: Sequence[Mapping[str, Any]] = (),
    max_enlargement: float = 1.0,
) -> list[dict[str, Any]]:
    """Give each datum the range in which `RandPatchStartd` may draw its start, and the bounds of what is read for it.

    The patch moves within its lattice cell, at most half a stride to each side, never out of the volume or its region,
    and never so far that it would share a voxel with a validation patch from which it is apart, along whichever axes
    that one sees the volume. A patch that is enlarged to be turned (`RandSpatialDrawd`) keeps to the same limits, its
    `bounds`. A datum that has a `start_range` (see `point_patches`) keeps within that, too.

    Args:
        data: what `make_datalist` returned.
        volumes: the `volumes` table.
        jitter: most voxels to each side, one number or z, y, x; `None`: half the stride; 0: no range is given.
        stride: as given to `find_patches`; `None`: half a patch.
        validation: the patches that validate.
        max_enlargement: most times by which a patch is enlarged along an axis.

    Raises:
        ValueError: for a negative jitter.
    """
    if not data:
        return []
    size = list(data[0]["size"])
    steps = [max(n // 2, 1) for n in size] if stride is None else _three(stride)
    most = [n // 2 for n in steps] if jitter is None else _three(jitter)
    if min(most) < 0:
        raise ValueError(f"jitter is the most voxels to each side, 0 or more; got {jitter!r}")
    boxes = {v: volume_box(volumes[v], open_images(volumes[v])[0]) for v in {datum["volume"] for datum in data}}
    near = _near(data, validation, volumes, np.add(most, np.multiply(size, (max_enlargement - 1) / 2)))
    ranged = []
    for datum, neighbours in zip(data, near, strict=True):
        low, high = (list(corner) for corner in boxes[datum["volume"]])
        first = [min(max(s - m, lo), s) for s, m, lo in zip(datum["start"], most, low, strict=True)]
        last = [max(min(s + m, hi - n), s) for s, m, hi, n in zip(datum["start"], most, high, size, strict=True)]
        for other, extent in neighbours:
            boxes_along = zip(datum["start"], size, other, extent, strict=True)
            apart = [max(v - (s + n), s - (v + m)) for s, n, v, m in boxes_along]
            axis = int(np.argmax(apart))  # along which they are kept apart
            if apart[axis] < 0:
                continue
            if datum["start"][axis] < other[axis]:
                last[axis] = min(last[axis], datum["start"][axis] + apart[axis])
                high[axis] = min(high[axis], other[axis])
            else:
                first[axis] = max(first[axis], datum["start"][axis] - apart[axis])
                low[axis] = max(low[axis], other[axis] + extent[axis])
        own = datum.get("start_range", [first, last])
        first, last = np.maximum(first, own[0]).tolist(), np.minimum(last, own[1]).tolist()
        row = {key: value for key, value in datum.items() if key != "start_range"}
        ranged.append(row | ({"start_range": [first, last]} if any(most) else {}) | {"bounds": [low, high]})
    return ranged


def _near(
    data: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    volumes: Sequence[Mapping[str, Any]],
    reach: np.ndarray,
) -> list[list[_Box]]:
    """For each datum the validation boxes of its volume that may be nearer than `reach`, along its own axes."""
    found: list[list[_Box]] = [[] for _ in data]
    if not validation:
        return found
    index = stored_rows(volumes)[1]
    volume, stored_start, stored_size = join_slices(stored_patches(validation, volumes))
    views: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for n, datum in enumerate(data):
        views.setdefault((axes_of(volumes[datum["volume"]]), tuple(datum["size"])), []).append(n)
    for (axes, size), members in views.items():
        order = list(axis_order(axes))
        start, extent = stored_start[:, order], stored_size[:, order]  # N 3, along the axes of the datum
        furthest = (size + extent.max(axis=0)) / 2 + reach
        middle = start + (extent - size) / 2  # of boxes as large as the datum their start
        places = np.array([data[n]["start"] for n in members])
        # the volume is a fourth axis along which patches of different volumes lie far apart
        tree = cKDTree(np.column_stack([4 * volume, middle / furthest]))
        own = np.column_stack([[4 * index[data[n]["volume"]] for n in members], places / furthest])
        for n, near in zip(members, tree.query_ball_point(own, 1.0, p=np.inf), strict=True):
            found[n] = [(start[m].tolist(), extent[m].tolist()) for m in sorted(near)]
    return found


def _three(values: Sequence[int] | int) -> list[int]:
    return [values] * 3 if isinstance(values, int) else [int(n) for n in values]
