"""Bins by hand, and the isotonic function against all others."""

import itertools
import math

import numpy as np
import pytest
import torch

from scripts.landmarks import QuantileBins, fit_quantile_bins
from scripts.landmarks.quantile_binning import isotonic_errors

NAN = float("nan")


def best_steps(error, counts):
    """Least squares of all never falling functions: each is constant on runs, of which all cuts are tried."""
    best = (math.inf, None)
    n = len(error)
    for cuts in itertools.product((False, True), repeat=n - 1):
        ends = [i + 1 for i, cut in enumerate(cuts) if cut] + [n]
        values, start = [], 0
        for end in ends:
            values += [np.average(error[start:end], weights=counts[start:end])] * (end - start)
            start = end
        if all(a <= b for a, b in itertools.pairwise(values)):
            best = min(best, (float((counts * (np.array(values) - error) ** 2).sum()), values))
    return best[1]


@pytest.mark.parametrize("seed", range(4))
def test_the_function_is_the_best_that_never_falls(seed):
    rng = np.random.default_rng(seed)
    uncertainty = rng.integers(0, 9, 14).astype(float)  # some are equal
    error = uncertainty + rng.normal(0, 3, 14)
    seen, fitted = isotonic_errors(uncertainty, error)
    assert seen.tolist() == sorted(set(uncertainty))
    means = np.array([error[uncertainty == value].mean() for value in seen])
    counts = np.array([(uncertainty == value).sum() for value in seen])
    np.testing.assert_allclose(fitted, best_steps(means, counts))


def test_bins_and_bounds_by_hand():
    """Errors 1 3 2 | 4 8 6: the second and third are joined to 2.5, the last two to 7."""
    bins = fit_quantile_bins([1.0, 2, 3, 4, 5, 6], [1.0, 3, 2, 4, 8, 6], n_bins=2)
    assert bins == QuantileBins((3.5,), (pytest.approx((2.5 + 4) / 2),))
    assert bins.assign([0.0, 3.5, 3.6, 99.0, NAN]).tolist() == [0, 0, 1, 1, -1]
    low, high = bins.bounds([0, 1, -1])
    assert low[:2].tolist() == [0, 3.25]
    assert high[:2].tolist() == [3.25, math.inf]
    assert np.isnan(low[2])
    assert np.isnan(high[2])


def test_each_bin_holds_as_many_landmarks_of_the_validation_set():
    rng = np.random.default_rng(0)
    uncertainty = rng.exponential(size=(20, 10))
    error = uncertainty * rng.uniform(0.5, 1.5, uncertainty.shape)
    uncertainty[0, 0], error[3, 3] = NAN, NAN
    bins = fit_quantile_bins(torch.from_numpy(uncertainty), error, n_bins=3)
    known = np.isfinite(uncertainty) & np.isfinite(error)
    assert np.bincount(bins.assign(uncertainty[known])).tolist() == [66, 66, 66]
    assert len(bins.error_bounds) == 2
    assert bins.error_bounds[0] < bins.error_bounds[1]
    assert len(fit_quantile_bins(uncertainty, error).thresholds) == 4


def test_share_of_errors_within_their_bounds():
    bins = QuantileBins((1.0, 2.0), (3.0, 5.0))
    uncertainty = [0.5, 0.6, 1.5, 1.6, 1.7, 9.0, NAN, 0.1]
    error = [2.0, 4.0, 4.0, 5.0, 6.0, 8.0, 1.0, NAN]
    assert bins.accuracy(uncertainty, error) == [1 / 2, 2 / 3, 1.0]
    assert math.isnan(bins.accuracy([0.5], [2.0])[2])


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="got n_bins = 1 and 3 landmarks"):
        fit_quantile_bins([1, 2, 3], [1, 2, 3], 1)
    with pytest.raises(ValueError, match="got n_bins = 3 and 2 landmarks"):
        fit_quantile_bins([1, 2, 3], [1, NAN, 3], 3)
