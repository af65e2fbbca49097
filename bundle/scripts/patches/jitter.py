"""How far a training patch may move from where it was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .table import open_images, volume_box


def add_start_ranges(
    data: Sequence[Mapping[str, Any]],
    volumes: Sequence[Mapping[str, Any]],
    *,
    jitter: Sequence[int] | int | None = None,
    stride: Sequence[int] | int | None = None,
    guard: Sequence[int] | int | None = None,
) -> list[dict[str, Any]]:
    """Give each datum the range in which `RandPatchStartd` may draw its start.

    The patch moves within its lattice cell, at most half a stride to each side, never out of the volume or its region,
    and never so far that it could reach a validation patch.

    Args:
        data: what `make_datalist` returned.
        volumes: the `volumes` table.
        jitter: most voxels to each side, one number or z, y, x; `None`: half the stride; 0: no range is given.
        stride: as given to `find_patches`; `None`: half a patch.
        guard: as given to `split_patches`; `None`: a patch.

    Raises:
        ValueError: for a negative jitter.
    """
    if not data or jitter == 0:
        return [dict(datum) for datum in data]
    size = list(data[0]["size"])
    steps = [max(n // 2, 1) for n in size] if stride is None else _three(stride)
    kept_apart = size if guard is None else _three(guard)
    wanted = [n // 2 for n in steps] if jitter is None else _three(jitter)
    if min(wanted) < 0:
        raise ValueError(f"jitter is the most voxels to each side, 0 or more; got {jitter!r}")
    # both sides of a split may come nearer, but validation patches do not move
    most = [min(n, g) for n, g in zip(wanted, kept_apart, strict=True)]
    boxes = {v: volume_box(volumes[v], open_images(volumes[v])[0]) for v in {datum["volume"] for datum in data}}
    ranged = []
    for datum in data:
        low, high = boxes[datum["volume"]]
        first = [min(max(s - m, lo), s) for s, m, lo in zip(datum["start"], most, low, strict=True)]
        last = [max(min(s + m, hi - n), s) for s, m, hi, n in zip(datum["start"], most, high, size, strict=True)]
        ranged.append({**datum, "start_range": [first, last]})
    return ranged


def _three(values: Sequence[int] | int) -> list[int]:
    return [values] * 3 if isinstance(values, int) else [int(n) for n in values]
