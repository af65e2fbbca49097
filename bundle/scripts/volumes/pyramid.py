"""Coarser levels of a pyramid: their geometry, and the means to compute them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from .encoding import Encoding, decode, encode
from .grid import Grid

Triplet = tuple[int, int, int]
Downsampler = Callable[[np.ndarray, Sequence[int]], np.ndarray]
METHODS = ("mean", "mode", "normal", "nearest")

_SMALL_ENOUGH = 64
"""Where nobody says how many levels: halve until the longest axis has at most this many voxels."""


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
    """Mean over the voxels that are not NaN; integers are rounded."""
    cells = _cells(array, factors)
    if array.dtype.kind != "f":
        return np.rint(cells.mean(axis=-1, dtype=np.float64)).astype(array.dtype)
    known = ~np.isnan(cells)
    total = np.where(known, cells, 0).sum(axis=-1, dtype=np.float64)
    count = known.sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(array.dtype)


def _mode(array: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """Most frequent value; of values equally frequent the largest, so that an object is kept against background 0."""
    cells = np.sort(_cells(array, factors), axis=-1)[..., ::-1]
    counts = np.zeros(cells.shape, dtype=np.uint8)
    for n in range(cells.shape[-1]):
        counts += cells == cells[..., n : n + 1]
    best = counts.argmax(axis=-1)[..., None]  # the first of equal counts, hence the largest value
    return np.take_along_axis(cells, best, axis=-1)[..., 0]


def _normal(array: np.ndarray, factors: Sequence[int], *, encoding: Encoding | None) -> np.ndarray:
    """Sum of the unit vectors that are there, at length 1; where none is, or they cancel out: missing."""
    vectors = np.nan_to_num(decode(array, encoding))
    total = _cells(vectors, factors).sum(axis=-1)
    length = np.linalg.norm(total, axis=0)
    units = np.where(length > 1e-3, total / np.maximum(length, 1e-3), 0.0)
    return encode(units, encoding, array.dtype)


def _nearest(array: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    z, y, x = factors
    return array[:, ::z, ::y, ::x]


def _cells(array: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """C D H W -> C d h w n: the n fine voxels of every coarse one.

    A last voxel without partner counts twice, which leaves mean and mode what they are of the voxels that exist.
    """
    pads = [(0, -size % f) for size, f in zip(array.shape[1:], factors, strict=True)]
    array = np.pad(array, [(0, 0), *pads], mode="edge") if any(p for _, p in pads) else array
    c, (z, y, x) = array.shape[0], factors
    d, h, w = (size // f for size, f in zip(array.shape[1:], factors, strict=True))
    cells = array.reshape(c, d, z, h, y, w, x).transpose(0, 1, 3, 5, 2, 4, 6)  # C d z h y w x -> C d h w z y x
    return cells.reshape(c, d, h, w, z * y * x)
