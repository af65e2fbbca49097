"""Share of surfaces that lie within a tolerance of each other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Self

from .base import ratio
from .surface_metric import SurfaceMetric
from .surfaces import SurfaceDistances


class SurfaceDice(SurfaceMetric):
    """Surface Dice at a tolerance: `surface_dice`, or `surface_dice@TOLERANCE` where one is given.

    Share of the voxels of both surfaces (see `surface_distances`) that lie within the tolerance of the other one.
    Voxels are summed over the patches before they are divided, for each class by itself; the number is the mean over
    the classes (without background) that have a surface in labels or predictions. A surface without its counterpart in
    a patch counts as missed.

    Nikolov et al. 2018, there of areas instead of voxels.

    Args:
        spacing: physical size of a voxel along z, y, x; in 2D the last two count.
        tolerance: largest distance that counts as the same, physical length; `None`: the largest spacing, so that
            surfaces one voxel apart along any axis are the same.

    Raises:
        ValueError: for a tolerance that is no length.
    """

    def __init__(self, spacing: Sequence[float] = (1.0, 1.0, 1.0), tolerance: float | None = None) -> None:
        if tolerance is not None and not (math.isfinite(tolerance) and tolerance >= 0):
            raise ValueError(f"tolerance is {tolerance}; expected a length of at least 0, in the unit of the spacing")
        self.tolerance = tolerance
        super().__init__(spacing)

    def reset(self) -> None:
        self._near: Counter[int] = Counter()
        self._all: Counter[int] = Counter()

    def merge(self, other: Self) -> None:
        self._near.update(other._near)
        self._all.update(other._all)

    def compute(self) -> dict[str, float]:
        shares = [self._near[number] / count for number, count in self._all.items() if count]
        name = "surface_dice" if self.tolerance is None else f"surface_dice@{self.tolerance:g}"
        return {name: ratio(sum(shares), len(shares))}

    def _add(self, number: int, distances: SurfaceDistances) -> None:
        near, count = distances.near(self.tolerance)
        self._near[number] += near
        self._all[number] += count
