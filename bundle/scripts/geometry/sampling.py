"""Read arrays at new places, all at the same ones (plain tensors)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from .bspline import spline_weights
from .separable import apply_along_axes, mirrored

MODES = ("nearest", "linear", "cubic", "one_hot")


@dataclass(frozen=True)
class IndexMap:
    """Where each voxel of a new array is read: old index = linear x new index + offset + shift.

    Args:
        linear: D x D.
        offset: D.
        size: spatial shape of the new array.
        shift: D followed by `size`, in voxels of the old array, on the arrays' device; `None`: none.
    """

    linear: Tensor
    offset: Tensor
    size: tuple[int, ...]
    shift: Tensor | None = None


@dataclass(frozen=True)
class Reading:
    """How one array is read.

    Values that are not finite, and negative ones in mode `"one_hot"`, are unknown: they are never mixed with others. A
    voxel is unknown in the result where the nearest voxel is unknown.

    Args:
        values: C D H W or C H W.
        mode: `"nearest"`; `"linear"`; `"cubic"`, the cubic B-spline through all values, mirrored at the border (an
            array with unknown voxels is read linearly); `"one_hot"` for whole numbers: the share of each among the
            neighbours is interpolated linearly, and the largest share wins.
        outside: value of what lies outside the old array; `None`: its border continues.
        keep_zero: whether the result is zero where all channels of the nearest voxel are zero (no normal there).
    """

    values: Tensor
    mode: str = "linear"
    outside: float | None = None
    keep_zero: bool = False


def resample(readings: Sequence[Reading], index_map: IndexMap) -> list[Tensor]:
    """Read all arrays at the same places, which are computed once, in float32.

    Args:
        readings: the arrays, all of the same spatial shape and on the same device.
        index_map: from the new grid to theirs.

    Returns:
        for each array C followed by the new spatial shape: nearest and one-hot in the array's type, others float32.

    Raises:
        ValueError: when the arrays differ in shape, or a mode is unknown.
    """
    shapes = {tuple(reading.values.shape[1:]) for reading in readings}
    if len(shapes) != 1:
        raise ValueError(f"arrays that are sampled together must share one spatial shape; got {sorted(shapes)}")
    if unknown := [reading.mode for reading in readings if reading.mode not in MODES]:
        raise ValueError(f"mode must be one of {', '.join(MODES)}; got {unknown[0]!r}")
    places = _Places(index_map, shapes.pop(), readings[0].values.device)
    return [_read(reading, places) for reading in readings]


class _Places:
    """Where the voxels of the new array are in the old one; everything is computed when it is first asked for.

    Args:
        index_map: from the new grid to the old one.
        shape: of the old array.
        device: of the arrays.
    """

    def __init__(self, index_map: IndexMap, shape: tuple[int, ...], device: torch.device) -> None:
        self.index_map = index_map
        self.size = index_map.size
        self.shape = shape
        self.device = device
        self.index_dtype = torch.int32 if torch.Size(shape).numel() < 2**31 else torch.int64

    @cached_property
    def along_axes(self) -> list[Tensor] | None:
        """Index along each axis, one number per new index, where axes stay parallel; `None` where they do not."""
        linear = self.index_map.linear
        if self.index_map.shift is not None or not torch.equal(linear, linear.diagonal().diag()):
            return None
        factors, offsets = linear.diagonal().tolist(), self.index_map.offset.tolist()
        return [
            torch.arange(n, dtype=torch.float32, device=self.device) * factor + offset
            for n, factor, offset in zip(self.size, factors, offsets, strict=True)
        ]

    @cached_property
    def positions(self) -> list[Tensor]:
        """Index along each axis, for every voxel of the new array."""
        steps = [torch.arange(n, dtype=torch.float32, device=self.device) for n in self.size]
        positions = []
        for axis, factors in enumerate(self.index_map.linear.tolist()):
            place = torch.tensor(float(self.index_map.offset[axis]), device=self.device)
            for n_inner, (step, factor) in enumerate(zip(reversed(steps), reversed(factors), strict=True)):
                place = (step * factor).reshape(-1, *[1] * n_inner) + place
            positions.append(place if self.index_map.shift is None else place + self.index_map.shift[axis])
        return positions

    @cached_property
    def grid(self) -> Tensor:
        """The positions as `grid_sample` takes them, without align_corners: 1 D H W 3."""
        return _grid(self.positions, [(2 / n, 1 / n - 1) for n in self.shape])

    @cached_property
    def nearest(self) -> Tensor:
        """Flat index of the nearest voxel of the old array."""
        flat = torch.zeros(self.size, dtype=self.index_dtype, device=self.device)
        for place, n in zip(self.positions, self.shape, strict=True):
            flat.mul_(n).add_(_nearest(place, n).to(self.index_dtype))
        return flat.reshape(-1)

    @cached_property
    def outside(self) -> Tensor | None:
        """True where the position lies in no voxel of the old array; `None` where that is nowhere."""
        beyond = [
            (place - (n - 1) / 2).abs_() > n / 2
            for place, n in zip(self.along_axes or self.positions, self.shape, strict=True)
        ]
        if not any(one.any() for one in beyond):
            return None
        outside = torch.zeros(self.size, dtype=torch.bool, device=self.device)
        for axis, one in enumerate(beyond):
            outside |= one.reshape(-1, *[1] * (len(self.size) - axis - 1)) if one.ndim == 1 else one
        return outside

    def take(self, values: Tensor) -> Tensor:
        """Values C D H W at the nearest voxels."""
        if self.along_axes is not None:
            for axis, (place, n) in enumerate(zip(self.along_axes, self.shape, strict=True), start=1):
                values = values.index_select(axis, _nearest(place, n).to(self.index_dtype))
            return values
        taken = [channel.reshape(-1).index_select(0, self.nearest) for channel in values]
        return torch.stack(taken).reshape(-1, *self.size)

    def interpolate(self, values: Tensor) -> Tensor:
        """Values C D H W, float32, interpolated linearly."""
        if self.along_axes is None:
            return grid_sample(values[None], self.grid, "bilinear", "border", align_corners=False)[0]
        hats = []  # new length x old length: each row holds the weights of two neighbours
        for place, n in zip(self.along_axes, self.shape, strict=True):
            distance = place.clamp(0, n - 1)[:, None] - torch.arange(n, device=self.device)
            hats.append((1 - distance.abs_()).clamp_(min=0))
        return apply_along_axes(values, hats)


def _read(reading: Reading, places: _Places) -> Tensor:
    values = reading.values
    if reading.mode == "nearest":
        result = places.take(values)
    elif reading.mode == "one_hot":
        result = torch.stack([_most_likely(channel, places) for channel in values])
    else:
        result = _interpolate_known(values.float(), reading, places)
    if reading.outside is not None and places.outside is not None:
        result.masked_fill_(places.outside, reading.outside)
    return result


def _interpolate_known(values: Tensor, reading: Reading, places: _Places) -> Tensor:
    """Interpolate between those voxels that are known (C D H W)."""
    # a sum is finite only if all values are, and much faster than asking each of them
    unknown = None if torch.isfinite(values.sum()) else ~_in_all_channels(torch.isfinite(values))
    if unknown is None:
        result = _cubic(values, places) if reading.mode == "cubic" else places.interpolate(values)
    else:
        known = (~unknown)[None].float()
        result = places.interpolate(values.masked_fill(unknown, 0)) / places.interpolate(known)
        result.masked_fill_(places.take(unknown[None]), torch.nan)
    if reading.keep_zero:
        zero = _in_all_channels(values == 0)
        if zero.any():
            result.masked_fill_(places.take(zero[None]), 0)
    return result


def _cubic(values: Tensor, places: _Places) -> Tensor:
    """Cubic B-spline from 2^D linear readings of its coefficients (Sigg and Hadwiger, GPU Gems 2, chapter 20)."""
    lengths = places.shape
    coefficients = apply_along_axes(values, [_spline_matrix(n).to(values) for n in lengths])
    pairs = []  # along each axis the lower and the upper pair of coefficients: position, weight
    for place, n in zip(places.positions, lengths, strict=True):
        inside = place.clamp(0, n - 1)
        floor = inside.floor()
        w = spline_weights(inside - floor)
        lower, upper = w[0] + w[1], w[2] + w[3]
        pairs.append([(floor - 1 + w[1] / lower, lower), (floor + 1 + w[3] / upper, upper)])
    scales = [(2 / max(n - 1, 1), -1.0) for n in lengths]  # reflection with align_corners mirrors at voxel centres
    total = torch.zeros(len(values), *places.size, device=values.device)
    for chosen in itertools.product(*pairs):
        grid = _grid([position for position, _ in chosen], scales)
        read = grid_sample(coefficients[None], grid, "bilinear", "reflection", align_corners=True)[0]
        for _, weight in chosen:
            read = read * weight
        total += read
    return total


def _most_likely(labels: Tensor, places: _Places) -> Tensor:
    """For D H W labels the one with the largest interpolated share; of equal shares the smallest label."""
    nearest = places.take(labels[None])[0]
    present = labels[labels >= 0].unique().tolist()  # ascending
    winner, most = nearest.clone(), torch.zeros(places.size, device=labels.device)
    for label in present:
        share = places.interpolate((labels == label)[None].float())[0]
        wins = share > most
        winner.masked_fill_(wins, label)
        most = torch.where(wins, share, most)
    return torch.where(nearest >= 0, winner, nearest)


def _nearest(place: Tensor, n: int) -> Tensor:
    """Index of the nearest of n voxels; halves are rounded up."""
    return (place + 0.5).floor_().clamp_(0, n - 1)


def _grid(positions: Sequence[Tensor], scales: Sequence[tuple[float, float]]) -> Tensor:
    """Positions times a scale plus an offset, in the order of `grid_sample`: 1 D H W 3 (x, y, z)."""
    grid = torch.empty(1, *positions[0].shape, len(positions), device=positions[0].device)
    for place, (factor, offset), part in zip(positions, scales, reversed(grid.unbind(-1)), strict=True):
        torch.add(torch.tensor(offset, device=grid.device), place, alpha=factor, out=part[0])
    return grid


def _in_all_channels(condition: Tensor) -> Tensor:
    """Whether a condition is true in all channels, C D H W -> D H W; many times as fast as `all(dim=0)`."""
    result = condition[0]
    for channel in condition[1:]:
        result = result & channel
    return result


def _spline_matrix(n: int) -> Tensor:
    """Matrix from n values to the coefficients of the cubic B-spline through them, mirrored at both ends; float64."""
    matrix = torch.zeros(n, n, dtype=torch.float64)
    voxels = torch.arange(n)
    for step, weight in ((-1, 1), (0, 4), (1, 1)):
        matrix[voxels, mirrored(voxels + step, n)] += weight / 6
    return torch.linalg.inv(matrix)
