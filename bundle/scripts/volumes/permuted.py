"""A volume seen with its axes in another order."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from ..geometry import did_you_mean
from .derived import DerivedVolume
from .grid import Grid
from .source import ArraySource
from .volume import Triplet, Volume

STORED_AXES = "zyx"

SLICE_AXES = {"z": STORED_AXES, "y": "yzx", "x": "xzy"}
"""For each axis along which a volume may be sliced, the order of axes that puts it first."""

T = TypeVar("T")


def check_slice_axes(slice_axes: Sequence[str]) -> None:
    """Raise a ValueError for axes that are unknown, named twice, or none."""
    for axis in slice_axes:
        if axis not in SLICE_AXES:
            raise ValueError(
                f"slice_axes must be a list of names out of {', '.join(SLICE_AXES)}; got {axis!r}"
                f"{did_you_mean(axis, SLICE_AXES)}"
            )
    if not slice_axes or len(set(slice_axes)) < len(slice_axes):
        raise ValueError(f"slice_axes must name at least one of z, y, x, each at most once; got {list(slice_axes)}")


def axis_order(axes: str) -> Triplet:
    """For each axis of a view the stored axis that it shows, counted from 0 (z).

    Raises:
        ValueError: where `axes` does not name z, y and x once each.
    """
    if not isinstance(axes, str) or sorted(axes) != sorted(STORED_AXES):
        raise ValueError(
            f"axes must name z, y and x once each, such as 'yzx', which shows slices along y; got {axes!r}"
        )
    z, y, x = map(STORED_AXES.index, axes)
    return z, y, x


def to_view(values: Sequence[T], axes: str) -> tuple[T, T, T]:
    """Three values along the stored axes z, y, x, in the order of a view's axes."""
    a, b, c = (values[axis] for axis in axis_order(axes))
    return a, b, c


def to_stored(values: Sequence[T], axes: str) -> tuple[T, T, T]:
    """Three values along a view's axes, in the order z, y, x of the stored ones."""
    order = axis_order(axes)
    z, y, x = (values[order.index(axis)] for axis in range(3))
    return z, y, x


class PermutedVolume(DerivedVolume):
    """A volume whose axes are read in another order; nothing is interpolated.

    What it calls z is the first of `axes`, so that a patch of one voxel along z is a slice along that axis.

    Args:
        base: what is stored.
        axes: the order, z, y and x once each: "yzx" shows slices along y.
        has_components: whether the channels are components along z, y, x; they then change places with the axes.

    Attributes:
        base: as given.
        axes: as given.

    Raises:
        ValueError: for another order, or components that are not three.
    """

    def __init__(self, base: Volume, axes: str, has_components: bool = False) -> None:
        self._order = axis_order(axes)
        if has_components and base.channels != 3:
            raise ValueError(
                f"{base.path} has {base.channels} channels; expected the three components z, y, x, which change "
                f"places with the axes {axes!r}"
            )
        self.base, self.axes, self._has_components = base, axes, has_components
        self._grid = Grid(to_view(base.spacing, axes), to_view(base.translation, axes), base.unit)
        self._inside = to_view(base._inside, axes)
        self._padding_reported = False
        self.states_geometry = base.states_geometry
        self.path, self.name = base.path, base.name
        self.shape = (base.channels, *to_view(base.spatial_shape, axes))
        self.chunks = to_view(base.chunks, axes)
        self.dtype, self.fill_value, self.encoding = base.dtype, base.fill_value, base.encoding
        self.attributes = base.attributes

    def __repr__(self) -> str:
        return f"Permuted{super().__repr__()[:-1]}, axes {self.axes})"

    def with_source(self, wrap: Callable[[ArraySource], ArraySource]) -> PermutedVolume:
        """The same view of what `wrap` makes of the stored array."""
        twin = copy.copy(self)
        twin.base = self.base.with_source(wrap)
        return twin

    def stored_chunks(self, inside_shards: bool = False) -> list[tuple[Triplet, Triplet]]:
        """Start and size of the stored boxes along the view's axes, in its order."""
        boxes = self.base.stored_chunks(inside_shards=inside_shards)
        return sorted((to_view(start, self.axes), to_view(size, self.axes)) for start, size in boxes)

    def fingerprint(self) -> str:
        """As of the base; another order gives another one."""
        line = f"{self.base.fingerprint()} {self.axes} {self._has_components}"
        return hashlib.sha256(line.encode()).hexdigest()

    def _read_inside(self, start: Sequence[int], size: Sequence[int], channels: list[int]) -> np.ndarray:
        stored = [self._order[c] for c in channels] if self._has_components else channels
        together = sorted(set(stored))  # in the stored order one read serves all
        block = self.base.read(to_stored(start, self.axes), to_stored(size, self.axes), channels=together)
        if together != stored:
            block = block[[together.index(c) for c in stored]]
        return np.ascontiguousarray(block.transpose(0, *(axis + 1 for axis in self._order)))  # C z y x -> C D H W


def permute_axes(volume: Volume, axes: str, has_components: bool = False) -> Volume:
    """See a volume with its axes in another order; the volume itself where the order is the stored one.

    Raises:
        ValueError: as `PermutedVolume`.
    """
    return volume if axis_order(axes) == (0, 1, 2) else PermutedVolume(volume, axes, has_components)
