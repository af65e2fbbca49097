"""Bins of uncertainty, and between which errors a landmark of each bin is expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

from .uncertainty import known_values

NO_BIN = -1
"""Bin of an uncertainty that is NaN."""


@dataclass(frozen=True)
class QuantileBins:
    """Bins with as many landmarks of a validation set each, and bounds of their errors.

    Bin 0 is the surest one. Its error is expected from 0 to the first bound, that of the next bin from there to the
    next bound, and that of the last bin from the last bound on.

    Args:
        thresholds: uncertainties between the bins, one less than bins; a bin begins above its threshold.
        error_bounds: errors at the thresholds.
    """

    thresholds: tuple[float, ...]
    error_bounds: tuple[float, ...]

    def assign(self, uncertainty: ArrayLike) -> NDArray[np.int64]:
        """Bin of each uncertainty, from 0; -1 where it is NaN. Same shape."""
        values = np.asarray(uncertainty, dtype=float)
        bins = np.searchsorted(self.thresholds, values, side="left")
        return np.where(np.isnan(values), NO_BIN, bins)

    def bounds(self, bins: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Least and greatest expected error of landmarks of given bins; NaN for no bin. Same shape each."""
        index = np.asarray(bins)
        low = np.array([0.0, *self.error_bounds, np.nan])  # -1 takes the last
        high = np.array([*self.error_bounds, np.inf, np.nan])
        return low[index], high[index]

    def accuracy(self, uncertainty: ArrayLike, error: ArrayLike) -> list[float]:
        """Share of the landmarks of each bin whose error lies within the bounds; NaN for an empty bin.

        Args:
            uncertainty: numbers of any shape.
            error: radial errors, same shape; where one is NaN or infinite, the landmark is left out.

        Raises:
            ValueError: when the shapes differ.
        """
        known_uncertainty, known_error = known_values(uncertainty, error)
        bins = self.assign(known_uncertainty)
        low, high = self.bounds(bins)
        within = (low <= known_error) & (known_error <= high)
        counts = [int((bins == number).sum()) for number in range(len(self.thresholds) + 1)]
        right = [int(within[bins == number].sum()) for number in range(len(counts))]
        return [part / count if count else float("nan") for part, count in zip(right, counts, strict=True)]


def fit_quantile_bins(uncertainty: ArrayLike, error: ArrayLike, n_bins: int = 5) -> QuantileBins:
    """Fit bins and error bounds on a validation set.

    Thresholds are quantiles of the uncertainty. The error as a function of the uncertainty is the closest one by least
    squares that never falls (isotonic regression), linear between the uncertainties that were seen.

    Source: Schobs et al. 2022, quantile binning.

    Args:
        uncertainty: numbers of any shape, larger is less sure (an activation with its sign changed).
        error: radial errors, same shape; where one is NaN or infinite, the landmark is left out.
        n_bins: number of bins.

    Raises:
        ValueError: for fewer than 2 bins, fewer known pairs than bins, and shapes that differ.
    """
    known_uncertainty, known_error = known_values(uncertainty, error)
    if n_bins < 2 or len(known_error) < n_bins:
        raise ValueError(
            f"n_bins must be at least 2, and at most the number of landmarks of known error; got n_bins = {n_bins} "
            f"and {len(known_error)} landmarks"
        )
    thresholds = np.quantile(known_uncertainty, np.arange(1, n_bins) / n_bins)
    seen, fitted = isotonic_errors(known_uncertainty, known_error)
    return QuantileBins(tuple(thresholds.tolist()), tuple(np.interp(thresholds, seen, fitted).tolist()))


def isotonic_errors(
    uncertainty: Sequence[float] | NDArray[np.float64], error: Sequence[float] | NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Never falling function closest to the errors.

    Args:
        uncertainty: finite numbers.
        error: finite numbers, as many.

    Returns:
        the different uncertainties in order, and the function's value at each.
    """
    seen, group = np.unique(uncertainty, return_inverse=True)
    counts = np.bincount(group)
    means = np.bincount(group, weights=error) / counts  # equal uncertainties have one value
    return seen, isotonic_regression(means, weights=counts).x
