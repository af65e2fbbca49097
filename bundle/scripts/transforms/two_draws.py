"""Two random changes of space for one patch, drawn before it is read."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .spatial_draw import SPATIAL_KEY, Box, RandSpatialDrawd, SpatialDraw


@dataclass(frozen=True)
class TwoSpatialDraws:
    """One draw for each view of a patch; both are read from one box.

    Args:
        first: of the first view.
        second: of the second view.
    """

    first: SpatialDraw
    second: SpatialDraw

    def __iter__(self) -> Iterator[SpatialDraw]:
        return iter((self.first, self.second))

    @property
    def patch(self) -> Box | None:
        return self.first.patch

    @property
    def box(self) -> Box | None:
        return self.first.box

    def inside(self, shape: Sequence[int]) -> TwoSpatialDraws:
        """The same for a box that ends where a volume of this shape does."""
        return TwoSpatialDraws(self.first.inside(shape), self.second.inside(shape))


class RandTwoSpatialDrawsd(RandSpatialDrawd):
    """Draw a change of space for each of the two views that `TwoViewsd` makes of a patch.

    As `RandSpatialDrawd` it stands before `LoadZarrPatchd`; the datum's box becomes the smallest that holds what both
    views need. On a sample that is loaded it only draws. Where neither view is changed, nothing is noted.

    Args:
        prob_rotation, rotation, prob_scaling, scaling: see `RandSpatialDraw`; each view is drawn for by itself.
        prob_elastic, elastic_spacing, elastic_displacement, in_plane: see `RandSpatialDraw`.
        spacing, max_enlargement: see `RandSpatialDrawd`.

    Raises:
        ValueError: when an argument is out of range.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """
        Args:
            data: a datum with `start` and `size`, z y x, or a sample that is loaded.
        """
        sample = dict(data)
        bounds = sample.pop("bounds", None)
        drawn = []
        for _ in range(2):
            self.randomize()
            drawn.append(self.drawn)
        if drawn == [None, None]:
            return sample
        first, second = (self.placed(SpatialDraw() if one is None else one, sample, bounds) for one in drawn)
        if first.box is not None and second.box is not None:
            box = _union(first.box, second.box)
            first, second = replace(first, box=box), replace(second, box=box)
            sample["start"], sample["size"] = (list(values) for values in box)
        sample[SPATIAL_KEY] = TwoSpatialDraws(first, second)
        return sample


def _union(one: Box, other: Box) -> Box:
    """Smallest box that holds two boxes."""
    start = np.minimum(one[0], other[0])
    end = np.maximum(np.add(*one), np.add(*other))
    return tuple(start.tolist()), tuple((end - start).tolist())
