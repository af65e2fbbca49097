"""How far predicted surfaces lie from true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

from .base import Metric, ratio
from .label_dice import foregrounds


class SurfaceDistance(Metric):
    """Average symmetric surface distance in physical units: `surface_distance`.

    A surface is made of the foreground voxels that touch known background across a face. Where an object is cut by the
    patch's border or by unknown voxels, it has no surface: those cuts agree in prediction and label and would pull the
    mean to 0 (`monai.metrics.compute_average_surface_distance` counts them). For one patch and class the mean runs over
    the voxels of both surfaces, each with its distance to the nearest of the other; the number is the mean over patches
    and classes (without background) in which both have a surface. `surface_distance_skipped` counts those in which
    only one of the two has.

    Args:
        spacing: physical size of a voxel along z, y, x; in 2D the last two count.
    """

    def __init__(self, spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> None:
        self.spacing = [float(s) for s in spacing]
        super().__init__()

    def reset(self) -> None:
        self._sum = 0.0
        self._count = 0
        self._skipped = 0

    def update(self, prediction: torch.Tensor, label: torch.Tensor) -> None:
        dims = prediction.ndim - 2
        if len(self.spacing) < dims:
            raise ValueError(f"spacing must be {dims} numbers for {dims} spatial axes, got {self.spacing}")
        known = (label[:, 0] >= 0).cpu().numpy()  # B 1 D H W -> B D H W
        for predicted, true in foregrounds(prediction, label):
            for in_prediction, in_label, inside in zip(predicted.cpu().numpy(), true.cpu().numpy(), known, strict=True):
                self._add(self._surface(in_prediction, inside), self._surface(in_label, inside))

    def merge(self, other: Self) -> None:
        self._sum += other._sum
        self._count += other._count
        self._skipped += other._skipped

    def compute(self) -> dict[str, float]:
        return {
            "surface_distance": ratio(self._sum, self._count),
            "surface_distance_skipped": float(self._skipped),
        }

    def _surface(self, foreground: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Physical positions of the surface's voxels, D H W -> N 3."""
        surface = foreground & ~binary_erosion(foreground | ~known, border_value=1)
        return np.argwhere(surface) * np.array(self.spacing[-foreground.ndim :])

    def _add(self, predicted: np.ndarray, true: np.ndarray) -> None:
        """Count one patch and class, by the positions of both surfaces."""
        if len(predicted) and len(true):
            to_true, to_predicted = KDTree(true).query(predicted)[0], KDTree(predicted).query(true)[0]
            self._sum += float(np.concatenate([to_true, to_predicted]).mean())
            self._count += 1
        elif len(predicted) or len(true):
            self._skipped += 1
