"""How well points are found again in another view."""

from __future__ import annotations

from typing import Self

import torch
from torch.nn import functional as F

from .base import Metric, check_same_shape, ratio

_ROWS = 1024  # of similarities at a time


def point_matching(first: torch.Tensor, second: torch.Tensor) -> tuple[int, float, int]:
    """Find each point of one view among those of the other by the cosine of their vectors.

    Args:
        first: vectors of points in one view, N C.
        second: of the same points in the other view; rows with NaN in either view are absent.

    Returns:
        how often the most similar vector was the point's own, from each view to the other; the sum of the cosines
        between a point's two vectors; and the number of points.

    Raises:
        ValueError: when the shapes differ.
    """
    check_same_shape(first, second)
    present = ~(first.isnan() | second.isnan()).any(dim=1)
    a, b = (F.normalize(view[present].float(), dim=1) for view in (first, second))
    if len(a) == 0:
        return 0, 0.0, 0
    found = 0
    for rows, others in ((a, b), (b, a)):
        for start in range(0, len(rows), _ROWS):
            nearest = (rows[start : start + _ROWS] @ others.T).argmax(dim=1)
            found += int((nearest == torch.arange(start, start + len(nearest), device=nearest.device)).sum())
    return found, float((a * b).sum()), len(a)


class PointMatching(Metric):
    """Share of points that are found again in the other view of their patch, and how similar their vectors are.

    `point_matching` is the share of points whose most similar vector in the other view is their own, from 0 to 1;
    with n points in a patch, chance is 1 / n. `positive_cosine` is the mean cosine between a point's two vectors: near
    1 without much of a share, all vectors have become the same.
    """

    def reset(self) -> None:
        self._found = 0
        self._cosines = 0.0
        self._count = 0

    def update(self, prediction: torch.Tensor, label: torch.Tensor) -> None:
        """Add one batch.

        Args:
            prediction: vectors of points in one view, B N C.
            label: of the same points in the other view; rows with NaN are absent.

        Raises:
            ValueError: when the shapes differ.
        """
        check_same_shape(prediction, label)
        for first, second in zip(prediction, label, strict=True):
            found, cosines, count = point_matching(first, second)
            self._found += found
            self._cosines += cosines
            self._count += count

    def merge(self, other: Self) -> None:
        self._found += other._found
        self._cosines += other._cosines
        self._count += other._count

    def compute(self) -> dict[str, float]:
        return {
            "point_matching": ratio(self._found, 2 * self._count),
            "positive_cosine": ratio(self._cosines, self._count),
        }
