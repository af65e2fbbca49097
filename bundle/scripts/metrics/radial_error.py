"""How far predicted landmarks lie from true ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Self

import torch

from ..geometry.peaks import peak_points
from .base import Metric, check_same_shape, ratio
from .voxel_size import checked_voxel_size


def radial_errors(
    prediction: torch.Tensor, truth: torch.Tensor, spacing: Sequence[float] | None = None
) -> torch.Tensor:
    """Distance of each predicted landmark from the true one.

    Args:
        prediction: indices z, y, x, B N 3 (2D: B N 2); NaN where nothing was found.
        truth: same shape; NaN is missing.
        spacing: physical size of a voxel along each axis, for errors in its unit; `None`: in voxels.

    Returns:
        B N, float64 on the CPU; NaN for a missing landmark, infinite where a known one was not found.

    Raises:
        ValueError: when shapes or spacing do not fit.
    """
    check_same_shape(prediction, truth)
    if truth.ndim != 3:
        raise ValueError(f"expected landmarks of shape B N D; got {list(truth.shape)}")
    away = prediction.cpu().double() - truth.cpu().double()
    if spacing is not None:
        away = away * torch.from_numpy(checked_voxel_size(spacing, truth.shape[2], "spacing"))
    errors = torch.linalg.vector_norm(away, dim=2)
    missing = truth.cpu().isnan().any(dim=2)
    return torch.where(missing, torch.nan, errors.nan_to_num(nan=torch.inf, posinf=torch.inf))


class MeanRadialError(Metric):
    """Distance between predicted and true landmarks, and the share of landmarks found within given radii.

    - `mre`: mean over all landmarks of the set, `mre_std`: their standard deviation (divided by N);
    - `sdr@2`: success detection rate, the share of landmarks at most 2 away, from 0 to 1, for each radius;
    - `mre_not_found`: landmarks without prediction (NaN, or a heatmap without maximum): they count in no mean, and are
      never within a radius.

    Missing landmarks are left out.

    Args:
        radii: in the unit of the errors.
        spacing: physical size of a voxel along z, y, x, for errors in its unit; in 2D the last two count. `None`: in
            voxels.
        decode: predicted heatmaps B N D H W to points B N 3; default: the maxima between voxels.

    Raises:
        ValueError: for a radius that is negative or no number.
    """

    def __init__(
        self,
        radii: Sequence[float] = (),
        spacing: Sequence[float] | None = None,
        decode: Callable[[torch.Tensor], torch.Tensor] = peak_points,
    ) -> None:
        self.decode = decode
        self.radii = [float(radius) for radius in radii]
        if not all(radius >= 0 for radius in self.radii):
            raise ValueError(f"radii must be numbers of at least 0; got {list(radii)}")
        self.spacing = None if spacing is None else [float(length) for length in spacing]
        super().__init__()

    def reset(self) -> None:
        # found, mean, summed squares around the mean, known, and those within each radius; a column per landmark
        self._sums = torch.zeros(4 + len(self.radii), 0, dtype=torch.float64)

    def update(self, prediction: torch.Tensor, label: torch.Tensor) -> None:
        """Add one batch.

        Args:
            prediction: landmarks as indices, B N 3 (2D: B N 2), or heatmaps B N D H W (2D: B N H W).
            label: likewise; NaN is missing, and so is a constant heatmap. A landmark beyond the outermost voxels of
                predicted heatmaps is left out: they cannot show it.

        Raises:
            ValueError: when the shapes do not fit, or the number of landmarks is not that of the batches before.
        """
        predicted = prediction if prediction.ndim == 3 else self.decode(prediction)
        true = label if label.ndim == 3 else peak_points(label)
        if prediction.ndim > label.ndim:
            size = true.new_tensor(prediction.shape[2:])
            is_shown = ((true >= -0.5) & (true < size - 0.5)).all(dim=2, keepdim=True)
            true = torch.where(is_shown, true, torch.nan)
        spacing = None if self.spacing is None else self.spacing[-true.shape[2] :]
        errors = radial_errors(predicted, true, spacing)  # B N
        known, found = ~errors.isnan(), errors.isfinite()
        count = found.sum(dim=0)
        mean = torch.where(found, errors, 0.0).sum(dim=0) / count.clamp(min=1)
        squares = torch.where(found, errors - mean, 0.0).square().sum(dim=0)
        within = [(errors <= radius).sum(dim=0) for radius in self.radii]
        self._add(torch.stack([count.double(), mean, squares, known.sum(dim=0), *within]))

    def merge(self, other: Self) -> None:
        if other._sums.shape[1]:
            self._add(other._sums)

    def compute(self) -> dict[str, float]:
        return self._numbers(_pooled(self._sums))

    def per_landmark(self) -> list[dict[str, float]]:
        """The same numbers for each landmark, in order; empty before the first batch."""
        return [self._numbers(column) for column in self._sums.T]

    @property
    def voxel_length(self) -> float:
        """Mean edge of a voxel, in the unit of the errors."""
        return 1.0 if self.spacing is None else sum(self.spacing) / len(self.spacing)

    def found_share(self) -> float:
        """Share of the known landmarks that have a prediction, 0 to 1; NaN where none is known."""
        pooled = _pooled(self._sums)
        return ratio(float(pooled[0]), float(pooled[3]))

    def _add(self, sums: torch.Tensor) -> None:
        if not self._sums.shape[1]:
            self._sums = torch.zeros_like(sums)
        if self._sums.shape != sums.shape:
            raise ValueError(
                f"got {sums.shape[1]} landmarks after batches of {self._sums.shape[1]}; expected the same number"
            )
        self._sums = _combined(self._sums, sums)

    def _numbers(self, column: torch.Tensor) -> dict[str, float]:
        count, mean, squares, known, *within = column.tolist()
        return {
            "mre": mean if count else float("nan"),
            "mre_std": math.sqrt(squares / count) if count else float("nan"),
            "mre_not_found": known - count,
            **{f"sdr@{radius:g}": ratio(n, known) for radius, n in zip(self.radii, within, strict=True)},
        }


def _combined(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Sums of both, whose means and squares are merged as in Chan et al. 1979."""
    total = first + second
    count = total[0].clamp(min=1)
    step = second[1] - first[1]
    total[1] = first[1] + step * second[0] / count
    total[2] = first[2] + second[2] + step**2 * first[0] * second[0] / count
    return total


def _pooled(sums: torch.Tensor) -> torch.Tensor:
    """Sums over all landmarks, from those of each."""
    pooled = torch.zeros(len(sums), dtype=sums.dtype)
    for column in sums.T:
        pooled = _combined(pooled, column)
    return pooled
