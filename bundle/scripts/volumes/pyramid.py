"""Coarser levels of a pyramid: their geometry, and the means to compute them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import numpy as np

from .encoding import Encoding, encode
from .grid import Grid

Triplet = tuple[int, int, int]
Downsampler = Callable[[np.ndarray, Sequence[int]], np.ndarray]
METHODS = ("mean", "mode", "normal", "nearest")

_SMALL_ENOUGH = 64
"""Where nobody says how many levels: halve until the longest axis has at most this many voxels."""

_SHORTEST = 1e-3
"""Unit vectors that cancel out to less than this length have no direction."""

_SUM_TYPES = {"b1": "u2", "u1": "u2", "i1": "i2", "u2": "u4", "i2": "i4", "u4": "u8", "i4": "i8"}
"""Type that holds the sum of the voxels of a cell, where float64 is not it."""


@dataclass(frozen=True)
class PyramidLevel:
    """One level of a pyramid.

    Args:
        shape: D, H, W.
        grid: its geometry.
        factors: along z, y, x from the next finer level.
    """

    shape: Triplet
    grid: Grid
    factors: Triplet = (1, 1, 1)


def halving(shape: Sequence[int], spacing: Sequence[float]) -> Triplet:
    """Factors along z, y, x from a level to the next coarser one.

    Axes of spacing below twice the finest are halved, so that voxels become cubes first and stay so; axes of one voxel
    stay, and do not count as the finest.

    Args:
        shape: D, H, W.
        spacing: along z, y, x.
    """
    finest = min((s for s, n in zip(spacing, shape, strict=True) if n > 1), default=0.0)
    z, y, x = (2 if n > 1 and s < 1.999 * finest else 1 for s, n in zip(spacing, shape, strict=True))
    return z, y, x


def coarser(shape: Sequence[int], grid: Grid, factors: Sequence[int], *, method: str) -> tuple[Triplet, Grid]:
    """Shape D, H, W and geometry of the next level.

    A coarse voxel is centred on the fine voxels that it sums up; with `nearest` it is the first of them.
    """
    d, h, w = (-(-n // f) for n, f in zip(shape, factors, strict=True))
    sz, sy, sx = (s * f for s, f in zip(grid.spacing, factors, strict=True))
    shift = 0.0 if method == "nearest" else 0.5
    tz, ty, tx = (t + shift * (f - 1) * s for t, f, s in zip(grid.translation, factors, grid.spacing, strict=True))
    return (d, h, w), Grid((sz, sy, sx), (tz, ty, tx), grid.unit)


def count_levels(shape: Sequence[int], spacing: Sequence[float], levels: int | None) -> int:
    """Check a number of levels, or choose one: halve until the longest axis has at most 64 voxels.

    Raises:
        ValueError: where the volume cannot be halved so often.
    """
    if levels is not None and levels < 1:
        raise ValueError(f"levels: expected at least 1, got {levels}")
    size, grid, count = (shape[0], shape[1], shape[2]), Grid((spacing[0], spacing[1], spacing[2])), 1
    while (count < levels) if levels is not None else (max(size) > _SMALL_ENOUGH):
        factors = halving(size, grid.spacing)
        if factors == (1, 1, 1):
            raise ValueError(f"levels: a volume of {tuple(shape)} voxels has at most {count} levels, got {levels}")
        size, grid = coarser(size, grid, factors, method="mean")
        count += 1
    return count


def plan_levels(shape: Triplet, grid: Grid, count: int, *, method: str) -> tuple[PyramidLevel, ...]:
    """All levels of a pyramid, fine to coarse.

    Args:
        shape: D, H, W of the finest.
        grid: its geometry.
        count: number of levels.
        method: of downsampling.
    """
    levels = [PyramidLevel(shape, grid)]
    while len(levels) < count:
        finer = levels[-1]
        factors = halving(finer.shape, finer.grid.spacing)
        levels.append(PyramidLevel(*coarser(finer.shape, finer.grid, factors, method=method), factors))
    return tuple(levels)


def downsampler(method: str, encoding: Encoding | None) -> Downsampler:
    """The function `(array C D H W, factors) -> array C d h w` of the same type for a method.

    Args:
        method: `mean` (images, probabilities), `mode` (labels), `normal` (unit vectors), `nearest` (first voxel).
        encoding: how stored numbers stand for unit vectors.
    """
    if method == "normal":
        return partial(_normal, encoding=encoding)
    return {"mean": _mean, "mode": _mode, "nearest": _nearest}[method]


def _mean(array: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """Mean over the voxels that are not NaN; integers are rounded, halves to even."""
    if array.dtype.kind != "f":
        return np.rint(_sums(array, factors) / math.prod(factors)).astype(array.dtype)
    total = _sums(array, factors)
    if not np.isnan(total).any():
        return (total / math.prod(factors)).astype(array.dtype)
    known = ~np.isnan(array)
    total, count = _sums(np.where(known, array, 0), factors), _sums(known, factors)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(array.dtype)


def _mode(array: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """Most frequent value; of values equally frequent the largest, so that an object is kept against background 0."""
    z, y, x = factors
    array = _padded(array, factors)
    voxels = [np.ascontiguousarray(array[:, i::z, j::y, k::x]) for i, j, k in np.ndindex(z, y, x)]
    is_mixed = np.zeros(voxels[0].shape, dtype=bool)
    for other in voxels[1:]:
        is_mixed |= other != voxels[0]
    result, mixed = voxels[0].copy(), np.flatnonzero(is_mixed)
    if mixed.size:  # few, unless the labels are tiny
        result.reshape(-1)[mixed] = _most_frequent([voxel.reshape(-1)[mixed] for voxel in voxels])
    return result


def _most_frequent(candidates: Sequence[np.ndarray]) -> np.ndarray:
    """The value that most of several arrays hold, place by place; the largest of those that equally many hold."""
    counts = [(values == values).astype(np.uint8) for values in candidates]  # NaN counts for nothing
    for (one, its), (another, others) in itertools.combinations(zip(candidates, counts, strict=True), 2):
        same = one == another
        its += same
        others += same
    best, most = candidates[0], counts[0]
    for values, count in zip(candidates[1:], counts[1:], strict=True):
        better = (count > most) | ((count == most) & (values > best))
        best, most = np.where(better, values, best), np.maximum(count, most)
    return best


def _normal(array: np.ndarray, factors: Sequence[int], *, encoding: Encoding | None) -> np.ndarray:
    """Sum of the unit vectors that are there, at length 1; where none is, or they cancel out: missing."""
    rule = encoding or Encoding()
    stored = np.nan_to_num(array) if array.dtype.kind == "f" else array
    total = (_sums(stored, factors) * rule.scale).astype(np.float32)
    if rule.offset:  # of every vector that is there
        is_there = np.ones_like(stored[:1], dtype=bool)
        if rule.zero_is_missing:
            is_there[0] = stored.any(axis=0)
        total += (_sums(is_there, factors) * rule.offset).astype(np.float32)
    length = np.linalg.norm(total, axis=0)
    units = np.where(length > _SHORTEST, total / np.maximum(length, _SHORTEST), np.float32(0))
    return encode(units, encoding, array.dtype)


def _nearest(array: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    z, y, x = factors
    return array[:, ::z, ::y, ::x]


def _sums(array: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """Sum over the fine voxels of every coarse one, C D H W -> C d h w, of a type that holds it."""
    array = _padded(array, factors)
    wide = np.dtype(_SUM_TYPES.get(array.dtype.str[1:], "f8"))
    for axis, factor in enumerate(factors, start=1):  # z first: whole rows are added, and each axis leaves less to add
        parts = [array[(slice(None),) * axis + (slice(n, None, factor),)] for n in range(factor)]
        array = reduce(partial(np.add, dtype=wide), parts)
    return array.astype(wide, copy=False)


def _padded(array: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """Repeat a last voxel without partner, which leaves mean and mode what they are of the voxels that exist."""
    pads = [(0, -size % f) for size, f in zip(array.shape[1:], factors, strict=True)]
    return np.pad(array, [(0, 0), *pads], mode="edge") if any(p for _, p in pads) else array
