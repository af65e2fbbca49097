"""Surfaces of two foregrounds, and how far they lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

from .label_arrays import Labels, label_pair
from .voxel_size import checked_voxel_size

_ROUNDING = 1e-6  # of a tolerance: three voxels of 0.1 lie no more than 0.3 apart


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances between two surfaces, physical length; infinite where the other side has no surface.

    Args:
        to_truth: of each voxel of the predicted surface to the nearest voxel of the true one.
        to_prediction: of each voxel of the true surface to the nearest voxel of the predicted one.
        spacing: physical size of a voxel, one number per axis.
    """

    to_truth: NDArray[np.float64]
    to_prediction: NDArray[np.float64]
    spacing: tuple[float, ...]

    @property
    def average(self) -> float:
        """Average symmetric surface distance (ASSD): mean over the voxels of both surfaces; NaN where there is none."""
        both = np.concatenate([self.to_truth, self.to_prediction])
        return float(both.mean()) if len(both) else float("nan")

    def hausdorff(self, percentile: float = 95) -> float:
        """Larger of the two percentiles, one per direction; 100 is the Hausdorff distance. NaN without any surface."""
        directions = [d for d in (self.to_truth, self.to_prediction) if len(d)]
        if any(np.isinf(d[0]) for d in directions):
            return float("inf")
        return float(max((np.percentile(d, percentile) for d in directions), default=np.nan))

    def near(self, tolerance: float | None = None) -> tuple[int, int]:
        """Voxels of both surfaces that lie within a tolerance of the other one, and all voxels of both.

        Their quotient is the surface Dice (Nikolov et al. 2018, there of areas); sums over patches have one, too.

        Args:
            tolerance: physical length; `None`: the largest spacing.
        """
        limit = max(self.spacing) if tolerance is None else tolerance
        both = np.concatenate([self.to_truth, self.to_prediction])
        return int(np.count_nonzero(both <= limit * (1 + _ROUNDING))), len(both)


def surface_distances(
    prediction: Labels, truth: Labels, spacing: Sequence[float], *, known: Labels | None = None
) -> SurfaceDistances:
    """Distances between the surfaces of two foregrounds: of everything that is not 0.

    A surface is made of the foreground voxels that touch known background across a face. Where an object is cut by the
    array's border or by unknown voxels, it has no surface: those cuts agree in prediction and truth and would pull the
    distances to 0 (`monai.metrics` counts them).

    Args:
        prediction: booleans or ids, D H W or H W.
        truth: booleans or ids, same shape.
        spacing: physical size of a voxel, one number per axis.
        known: booleans of the same shape; voxels where it is False count nowhere.

    Raises:
        TypeError: for arrays of floats.
        ValueError: when shapes differ, or for a spacing that does not fit or is not above 0.
    """
    predicted, true, inside = label_pair(prediction, truth, known)
    size = checked_voxel_size(spacing, predicted.ndim, "spacing")
    if inside is None:
        inside = np.ones(predicted.shape, dtype=bool)
    a, b = (_surface((labels != 0) & inside, inside) * size for labels in (predicted, true))
    return SurfaceDistances(_to_nearest(a, b), _to_nearest(b, a), tuple(size.tolist()))


def _surface(foreground: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Positions of the surface's voxels, D H W -> N 3."""
    return np.argwhere(foreground & ~binary_erosion(foreground | ~known, border_value=1))


def _to_nearest(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each point to the nearest of the others, N 3 and M 3 -> N."""
    if not len(points) or not len(others):
        return np.full(len(points), np.inf)
    return np.asarray(KDTree(others).query(points)[0])
