"""How far a training patch may move from where it was found, and what may be read around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from .table import open_images, volume_box


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
    and never so far that it would share a voxel with a validation patch from which it is apart. A patch that is
    enlarged to be turned (`RandSpatialDrawd`) keeps to the same limits, its `bounds`.

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
    near = _near(data, validation, np.add(size, most) + np.multiply(size, (max_enlargement - 1) / 2))
    ranged = []
    for datum, neighbours in zip(data, near, strict=True):
        low, high = (list(corner) for corner in boxes[datum["volume"]])
        first = [min(max(s - m, lo), s) for s, m, lo in zip(datum["start"], most, low, strict=True)]
        last = [max(min(s + m, hi - n), s) for s, m, hi, n in zip(datum["start"], most, high, size, strict=True)]
        for other in neighbours:
            apart = [abs(s - v) - n for s, v, n in zip(datum["start"], other, size, strict=True)]
            axis = int(np.argmax(apart))  # along which they are kept apart
            if apart[axis] < 0:
                continue
            if datum["start"][axis] < other[axis]:
                last[axis] = min(last[axis], datum["start"][axis] + apart[axis])
                high[axis] = min(high[axis], other[axis])
            else:
                first[axis] = max(first[axis], datum["start"][axis] - apart[axis])
                low[axis] = max(low[axis], other[axis] + size[axis])
        moves = {"start_range": [first, last]} if any(most) else {}
        ranged.append({**datum, **moves, "bounds": [low, high]})
    return ranged


def _near(
    data: Sequence[Mapping[str, Any]], validation: Sequence[Mapping[str, Any]], reach: np.ndarray
) -> list[list[list[int]]]:
    """For each datum the starts of the validation patches of its volume that are nearer than `reach` along all axes."""
    if not validation:
        return [[] for _ in data]
    # the volume is a fourth axis along which patches of different volumes lie far apart
    places, others = (
        np.array([[4 * patch["volume"], *(np.array(patch["start"]) / reach)] for patch in patches])
        for patches in (data, validation)
    )
    found = cKDTree(others).query_ball_point(places, 1.0, p=np.inf)
    return [[list(validation[n]["start"]) for n in sorted(near)] for near in found]


def _three(values: Sequence[int] | int) -> list[int]:
    return [values] * 3 if isinstance(values, int) else [int(n) for n in values]
