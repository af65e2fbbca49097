"""What metrics of surfaces have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

import torch

from .base import Metric, ratio
from .label_dice import foregrounds
from .surfaces import SurfaceDistances, surface_distances


class SurfaceMetric(Metric):
    """What is measured between the surfaces (see `surface_distances`) of each patch and class.

    Args:
        spacing: physical size of a voxel along z, y, x; in 2D the last two count.

    Raises:
        ValueError: for anything but two or three lengths above 0.
    """

    def __init__(self, spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> None:
        self.spacing = [float(s) for s in spacing]
        if len(self.spacing) not in (2, 3) or not all(0 < length < math.inf for length in self.spacing):
            raise ValueError(f"spacing must be the size of a voxel along each axis, all above 0; got {spacing!r}")
        super().__init__()

    def update(self, prediction: torch.Tensor, label: torch.Tensor) -> None:
        dims = prediction.ndim - 2
        if len(self.spacing) < dims:
            raise ValueError(f"spacing must be {dims} numbers for {dims} spatial axes, got {self.spacing}")
        for number, (predicted, true, known) in enumerate(foregrounds(prediction, label)):
            for in_prediction, in_label, inside in zip(predicted, true, known, strict=True):
                distances = surface_distances(in_prediction, in_label, self.spacing[-dims:], known=inside)
                self._add(number, distances)

    @abstractmethod
    def _add(self, number: int, distances: SurfaceDistances) -> None:
        """Count one patch and class; the first foreground class, or channel, has number 0."""


class MeanOverPatches(SurfaceMetric):
    """Mean over the patches and classes (without background) in which prediction and label both have a surface."""

    name: str
    """Of the number; `<name>_skipped` counts the patches and classes in which only one of the two has a surface."""

    def reset(self) -> None:
        self._sum = 0.0
        self._count = 0
        self._skipped = 0

    def merge(self, other: Self) -> None:
        self._sum += other._sum
        self._count += other._count
        self._skipped += other._skipped

    def compute(self) -> dict[str, float]:
        return {self.name: ratio(self._sum, self._count), f"{self.name}_skipped": float(self._skipped)}

    def _add(self, number: int, distances: SurfaceDistances) -> None:
        value = self._value(distances)
        if math.isfinite(value):
            self._sum += value
            self._count += 1
        elif math.isinf(value):
            self._skipped += 1

    @abstractmethod
    def _value(self, distances: SurfaceDistances) -> float:
        """Distance of one patch and class; infinite where one side has no surface, NaN where neither has."""
