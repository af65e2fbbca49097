"""From the axes that a store has to the C D H W that everything else sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np

_PLAIN = {2: "yx", 3: "zyx", 4: "czyx"}


@dataclass(frozen=True)
class AxisLayout:
    """Which stored axis is which.

    Args:
        names: one letter of `tczyx` per stored axis, in stored order.
        time: index along t that is read, 0 where there is no such axis.
    """

    names: str
    time: int = 0

    @classmethod
    def of(cls, names: Sequence[str] | None, shape: Sequence[int], time: int | None, where: str) -> AxisLayout:
        """Check axis names against a stored shape.

        Args:
            names: letters in stored order; `None` takes y x, z y x or c z y x by the number of axes.
            shape: stored shape.
            time: index along t; must be given where that axis is longer than 1.
            where: names the store in errors.

        Raises:
            ValueError: for axes that are no volume, or an ambiguous or impossible time.
        """
        if names is None:
            if len(shape) not in _PLAIN:
                raise ValueError(
                    f"{where}: the array has {len(shape)} axes, shape {tuple(shape)}, and nothing says which is which; "
                    "expected 2 (y x), 3 (z y x) or 4 (c z y x), or OME-Zarr metadata that names them"
                )
            names = _PLAIN[len(shape)]
        letters = "".join(names)
        if len(letters) != len(shape) or len(set(letters)) != len(letters) or not {"y", "x"} <= set(letters):
            raise ValueError(
                f"{where}: the metadata names the axes {list(names)} for an array of shape {tuple(shape)}; "
                "expected one of t, c, z, y, x per axis, each at most once, y and x among them"
            )
        return cls(letters, _checked_time(letters, shape, time, where))

    def spatial(self, values: Sequence[float], missing: float) -> tuple[float, float, float]:
        """Pick the values of z, y, x from one value per stored axis; `missing` stands for a z that is not there."""
        z, y, x = (float(values[self.names.index(a)]) if a in self.names else missing for a in "zyx")
        return z, y, x

    def spatial_ints(self, values: Sequence[int], missing: int) -> tuple[int, int, int]:
        """Like `spatial`, for whole numbers."""
        z, y, x = (int(values[self.names.index(a)]) if a in self.names else missing for a in "zyx")
        return z, y, x

    def cdhw_shape(self, shape: Sequence[int]) -> tuple[int, int, int, int]:
        """Shape C D H W of a stored shape."""
        channels = int(shape[self.names.index("c")]) if "c" in self.names else 1
        return (channels, *self.spatial_ints(shape, 1))

    def selection(self, start: Sequence[int], stop: Sequence[int], channels: tuple[int, int]) -> tuple[slice, ...]:
        """Slices along the stored axes for a box inside the array and a run of channels."""
        slices = {a: slice(low, high) for a, low, high in zip("zyx", start, stop, strict=True)}
        slices |= {"c": slice(*channels), "t": slice(self.time, self.time + 1)}
        return tuple(slices[name] for name in self.names)

    def to_cdhw(self, block: np.ndarray) -> np.ndarray:
        """Move the axes of a stored block, t of length 1, to C D H W (a view)."""
        order, index = _to_cdhw(self.names)
        return cast(np.ndarray, block.transpose(order)[index])  # stored order -> [T] [C] [D] H W -> C D H W


@cache
def _to_cdhw(names: str) -> tuple[list[int], tuple[Any, ...]]:
    """How axes are moved to [T] [C] [D] H W, and the index that then drops t and adds what is missing."""
    order = [names.index(a) for a in "tczyx" if a in names]
    added = [slice(None) if a in names else None for a in "czyx"]
    return order, (0, *added) if "t" in names else tuple(added)


def _checked_time(names: str, shape: Sequence[int], time: int | None, where: str) -> int:
    length = int(shape[names.index("t")]) if "t" in names else 1
    if time is None:
        if length > 1:
            raise ValueError(
                f"{where}: the array has a time axis of length {length}, expected a single volume; "
                f"choose one with time=0 ... time={length - 1}"
            )
        return 0
    if not 0 <= time < length:
        raise ValueError(f"{where}: time = {time} does not exist; the array has {length} (0 to {length - 1})")
    return int(time)
