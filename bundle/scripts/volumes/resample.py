"""A volume on another grid than the one it is stored on."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Sequence

import numpy as np

from .derived import DerivedVolume
from .encoding import ATTRIBUTE
from .grid import Grid
from .interpolation import AxisMap, average, gather, interpolate
from .source import ArraySource
from .volume import Triplet, Volume

MODES = ("linear", "area", "nearest", "normal")

_SAME_SPACING = 1e-4
_SAME_POSITION = 1e-2
_SHORTEST = 1e-3
"""Unit vectors that cancel out to less than this length have no direction."""


class ResampledVolume(DerivedVolume):
    """A volume seen on another grid; voxels are interpolated when they are read, from the part that a box needs.

    Modes:

    - `"linear"` (images, scalars, vectors): of the decoded values, float32. A voxel between several is NaN where one
      of these is. Where the grid is coarser than the stored one, what lies between the two nearest voxels does not
      count: choose a stored level that is not much finer.
    - `"area"` (images that are made much smaller): the mean of all stored voxels that a voxel covers, float32; along an
      axis that does not get coarser, linear. NaN where one of these is. Parts agree with the whole to rounding.
    - `"nearest"` (labels, masks): the voxel that holds the centre; type and encoding stay.
    - `"normal"` (unit vectors): linear over those that are there (zero and NaN are none), at length 1; zero where less
      than half of the weight is on vectors that are there. Directions stay what they are in space.

    Args:
        base: what is stored.
        grid: spacing and position of the new voxels.
        shape: their number D, H, W.
        mode: one of `MODES`.
        is_placed: voxels whose centre lies outside of `base` are outside: `padding` counts them. Otherwise the
            outermost voxels of `base` stand for them.

    Attributes:
        base: as given.
        mode: as given.

    Raises:
        ValueError: for an unknown mode, or where no voxel of the grid lies inside of `base`.
    """

    def __init__(self, base: Volume, grid: Grid, shape: Triplet, mode: str, *, is_placed: bool = False) -> None:
        if mode not in MODES:
            raise ValueError(f"{base.path}: mode must be one of {', '.join(MODES)}; got {mode!r}")
        self._grid, self._is_placed, self._padding_reported = grid, is_placed, False
        self.base, self.mode = base, mode
        self.path, self.name = base.path, base.name
        self.shape = (base.channels, *shape)
        self.states_geometry = True
        self._maps = tuple(
            AxisMap(new / old, (at - origin) / old, extent)
            for new, old, at, origin, extent in zip(
                grid.spacing, base.spacing, grid.translation, base.translation, base.spatial_shape, strict=True
            )
        )
        self._inside = self._covered() if is_placed else self._everywhere()
        z, y, x = (
            min(max(1, round(chunk / axis.scale)), extent)
            for chunk, axis, extent in zip(base.chunks, self._maps, shape, strict=True)
        )
        self.chunks = z, y, x
        self.attributes = dict(base.attributes)
        if mode == "nearest":
            self.dtype, self.fill_value, self.encoding = base.dtype, base.fill_value, base.encoding
        else:
            stored = np.full((base.channels, 1, 1, 1), base.fill_value, base.dtype)
            self.dtype, self.fill_value = np.dtype(np.float32), float(base.decode(stored).flat[0])
            self.encoding = None
            self.attributes.pop(ATTRIBUTE, None)

    def __repr__(self) -> str:
        return f"Resampled{super().__repr__()[:-1]}, {self.mode}, from {self.base!r})"

    def with_mode(self, mode: str) -> ResampledVolume:
        """The same voxels, interpolated in another way."""
        return ResampledVolume(self.base, self._grid, self.spatial_shape, mode, is_placed=self._is_placed)

    def with_source(self, wrap: Callable[[ArraySource], ArraySource]) -> ResampledVolume:
        """The same voxels, interpolated from what `wrap` makes of the stored array."""
        twin = copy.copy(self)
        twin.base = self.base.with_source(wrap)
        return twin

    def stored_chunks(self, inside_shards: bool = False) -> list[tuple[Triplet, Triplet]]:
        """Start (z, y, x) and size of the boxes that the stored chunks of `base` determine, in array order.

        With `nearest` they share no voxel. Otherwise a voxel between two chunks belongs to the boxes of both.
        """
        boxes = np.array(self.base.stored_chunks(inside_shards=inside_shards), np.int64).reshape(-1, 2, 3)
        found = np.empty_like(boxes)
        for n, (axis, (first, stop)) in enumerate(zip(self._maps, self._inside, strict=True)):
            low = high = axis.nearest(first, stop - first)
            if self.mode == "area":
                low, high = axis.covered(first, stop - first)
            elif self.mode != "nearest":
                low, high, _ = axis.linear(first, stop - first)
            begin, end = boxes[:, 0, n], boxes[:, 0, n] + boxes[:, 1, n]
            found[:, 0, n] = first + np.searchsorted(high, begin)
            found[:, 1, n] = first + np.searchsorted(low, end) - found[:, 0, n]
        kept = found[(found[:, 1] > 0).all(axis=1)]
        return [((z, y, x), (d, h, w)) for (z, y, x), (d, h, w) in sorted(kept.tolist())]

    def fingerprint(self) -> str:
        """As of the base; another grid or mode gives another one."""
        line = f"{self.base.fingerprint()} {self._grid} {self.shape} {self.mode} {self._inside}"
        return hashlib.sha256(line.encode()).hexdigest()

    def _covered(self) -> tuple[tuple[int, int], ...]:
        """First voxel and last plus one, along z, y, x, whose centres lie inside of the base."""
        covered = []
        for axis, extent in zip(self._maps, self.spatial_shape, strict=True):
            first, stop = np.searchsorted(axis.owners(0, extent), [0, axis.extent])
            covered.append((int(first), int(stop)))
        if any(first >= stop for first, stop in covered):
            raise ValueError(
                f"{self.path} lies at {_extent(self.base)}, wholly outside of the grid at {_extent(self)} on which it "
                "is to be placed; check spacing, translation and unit that the two state"
            )
        return tuple(covered)

    def _read_inside(self, start: Sequence[int], size: Sequence[int], channels: list[int]) -> np.ndarray:
        if self.mode == "nearest":
            picks = [axis.nearest(low, n) for axis, low, n in zip(self._maps, start, size, strict=True)]
            box = [(int(index[0]), int(index[-1]) + 1) for index in picks]
            block = self._read_base(box, channels)
            return np.ascontiguousarray(
                gather(block, [index - low for index, (low, _) in zip(picks, box, strict=True)])
            )
        if self.mode == "area":
            areas = [axis.area(low, n) for axis, low, n in zip(self._maps, start, size, strict=True)]
            box = [(first, first + weights.shape[1]) for first, weights in areas]
            needs_all = self.base.encoding is not None and self.base.encoding.zero_is_missing
            block = self._read_base(box, None if needs_all else channels)
            found = average(block, [weights for _, weights in areas], self.base.decode)
            return found[channels] if needs_all else found
        taps = [axis.linear(low, n) for axis, low, n in zip(self._maps, start, size, strict=True)]
        box = [(int(low[0]), int(high[-1]) + 1) for low, high, _ in taps]
        taps = [(low - at, high - at, weight) for (low, high, weight), (at, _) in zip(taps, box, strict=True)]
        if self.mode == "normal":
            return _unit_vectors(interpolate(self._read_base(box, None), taps, self._with_presence))[channels]
        if self.base.encoding is not None and self.base.encoding.zero_is_missing:  # told by all channels together
            return interpolate(self._read_base(box, None), taps, self.base.decode)[channels]
        return interpolate(self._read_base(box, channels), taps, self.base.decode)

    def _read_base(self, box: Sequence[tuple[int, int]], channels: list[int] | None) -> np.ndarray:
        return self.base.read([low for low, _ in box], [high - low for low, high in box], channels=channels)

    def _with_presence(self, stored: np.ndarray) -> np.ndarray:
        """Vectors C D H W, and a last channel that is 1 where there is one."""
        vectors = self.base.decode(stored)
        vectors[:, np.isnan(vectors).any(axis=0)] = 0
        return np.concatenate([vectors, vectors.any(axis=0, keepdims=True).astype(np.float32)])

    def _report_padding(self, start: Triplet, size: Triplet) -> None:
        """Being smaller than the grid is what a placed array may be; only the grid's own border is reported."""
        if any(low < 0 or low + n > end for low, n, end in zip(start, size, self.spatial_shape, strict=True)):
            super()._report_padding(start, size)


def resample(volume: Volume, spacing: Sequence[float], mode: str) -> Volume:
    """See a volume at another spacing; the outer edge of its first voxel stays where it is.

    Voxel i of the result has its centre at (i + 0.5) f - 0.5 stored voxels, f the ratio of the spacings, and there are
    n / f voxels, rounded, but at least one.

    Args:
        volume: what is stored.
        spacing: voxel size z, y, x, in the volume's unit.
        mode: see `ResampledVolume`.

    Returns:
        the volume itself where it has this spacing (to 1 in 10,000).
    """
    have = volume.spacing
    if all(abs(new / old - 1) <= _SAME_SPACING for new, old in zip(spacing, have, strict=True)):
        return volume
    d, h, w = (_rounded(n * old / new) for n, old, new in zip(volume.spatial_shape, have, spacing, strict=True))
    z, y, x = (t + (new - old) / 2 for t, old, new in zip(volume.translation, have, spacing, strict=True))
    grid = Grid((float(spacing[0]), float(spacing[1]), float(spacing[2])), (z, y, x), volume.unit)
    return ResampledVolume(volume, grid, (d, h, w), mode)


def fit(volume: Volume, shape: Sequence[int], mode: str, edges_of: Volume | None = None) -> Volume:
    """See a volume at another number of voxels; the outer edges stay where they are, so that its aspect may change.

    Args:
        volume: what is stored.
        shape: voxels z, y, x.
        mode: see `ResampledVolume`; `"area"` for images, whose details would alias when they are made smaller.
        edges_of: whose outer edges are meant; `None`: the volume's own. Levels of a pyramid may differ in theirs.

    Returns:
        the volume itself where it has so many voxels and these edges; otherwise it states a geometry where the volume
        does.
    """
    whole = volume if edges_of is None else edges_of
    spacing = fitted_spacing(whole, shape)
    shift = np.abs(_first_edge(volume) - _first_edge(whole)) / volume.spacing
    is_same = np.allclose(spacing, volume.spacing, rtol=_SAME_SPACING, atol=0) and shift.max() <= _SAME_POSITION
    if tuple(shape) == volume.spatial_shape and is_same:
        return volume
    z, y, x = (edge + new / 2 for edge, new in zip(_first_edge(whole), spacing, strict=True))
    d, h, w = map(int, shape)
    grid = Grid(spacing, (z, y, x), volume.unit)
    fitted = ResampledVolume(volume, grid, (d, h, w), mode)
    fitted.states_geometry = volume.states_geometry
    return fitted


def fitted_spacing(volume: Volume, shape: Sequence[int]) -> tuple[float, float, float]:
    """Voxel size z, y, x with which so many voxels fill a volume."""
    z, y, x = (old * n / new for old, n, new in zip(volume.spacing, volume.spatial_shape, shape, strict=True))
    return z, y, x


def _rounded(length: float) -> int:
    """Whole number of voxels, at least 1; halves go up, however the spacings were rounded."""
    return max(1, math.floor(length + 0.5 + _SAME_SPACING))


def place(volume: Volume, like: Volume, mode: str) -> Volume:
    """See a volume on the grid of another one, each voxel where it is in space.

    Args:
        volume: what is stored.
        like: its grid is taken.
        mode: see `ResampledVolume`.

    Returns:
        the volume itself where its grid is the same.

    Raises:
        ValueError: where units differ, or the two have no voxel in common.
    """
    if None not in (volume.unit, like.unit) and volume.unit != like.unit:
        raise ValueError(
            f"{volume.path} is in {volume.unit}, the image {like.path} in {like.unit}: arrays are placed by physical "
            "position, which needs one unit; write one of them anew with 'python -m scripts convert IN OUT "
            f"--spacing z,y,x --unit {like.unit}'"
        )
    last = np.array(like.spatial_shape) - 1
    if volume.spatial_shape == like.spatial_shape and all(
        np.all(np.abs(_position(volume, index) - _position(like, index)) <= _SAME_POSITION * np.array(like.spacing))
        for index in (0, last)
    ):
        return volume
    return ResampledVolume(
        volume, Grid(like.spacing, like.translation, like.unit), like.spatial_shape, mode, is_placed=True
    )


def _unit_vectors(weighted: np.ndarray) -> np.ndarray:
    """Vectors at length 1 from their weighted sum and, as last channel, the weight of those that are there."""
    vectors, weight = weighted[:-1], weighted[-1]
    length = np.linalg.norm(vectors, axis=0)
    is_there = (weight >= np.float32(0.5 - 1e-5)) & (length > _SHORTEST)
    return np.where(is_there, vectors / np.where(is_there, length, 1), np.float32(0))


def _position(volume: Volume, index: int | np.ndarray) -> np.ndarray:
    return np.asarray(np.array(volume.translation) + index * np.array(volume.spacing))


def _first_edge(volume: Volume) -> np.ndarray:
    """Position of the outer edges before voxel 0, along z, y, x."""
    return _position(volume, 0) - np.array(volume.spacing) / 2


def _extent(volume: Volume) -> str:
    """Outer edges along z, y, x, in words."""
    low = _first_edge(volume)
    high = low + np.array(volume.spatial_shape) * np.array(volume.spacing)
    axes = (f"{axis} {a:g} to {b:g}" for axis, a, b in zip("zyx", low, high, strict=True))
    return f"{', '.join(axes)} {volume.unit or ''}".rstrip()
