"""How far predicted surfaces lie from true ones, on average."""

from __future__ import annotations

from .surface_metric import MeanOverPatches
from .surfaces import SurfaceDistances


class SurfaceDistance(MeanOverPatches):
    """Average symmetric surface distance in physical units: `surface_distance`.

    For one patch and class it is the mean over the voxels of both surfaces, each with its distance to the nearest of
    the other (see `surface_distances` for what a surface is); the number is the mean over patches and classes (without
    background) in which both have a surface. `surface_distance_skipped` counts those in which only one of the two has.
    """

    name = "surface_distance"

    def _value(self, distances: SurfaceDistances) -> float:
        return distances.average
