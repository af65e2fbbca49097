"""How far predicted surfaces lie from true ones at most, but for outliers."""

from __future__ import annotations

from .surface_metric import MeanOverPatches
from .surfaces import SurfaceDistances


class HausdorffDistance95(MeanOverPatches):
    """Hausdorff distance without the farthest 5 %, in physical units: `hausdorff95`.

    For one patch and class it is the 95th percentile of the distances from one surface to the other, in the direction
    in which it is larger; means and `hausdorff95_skipped` are as those of `SurfaceDistance`.
    """

    name = "hausdorff95"

    def _value(self, distances: SurfaceDistances) -> float:
        return distances.hausdorff(95)
