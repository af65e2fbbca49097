"""Assignments against trying all of them and SciPy's dense solver."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from scripts.metrics import assignment
from scripts.metrics.assignment import best_pairs


def _random_pairs(seed, n_rows, n_columns, density):
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(rng.random((n_rows, n_columns)) < density)
    order = rng.permutation(len(rows))
    return rows[order], columns[order], rng.random(len(rows)) + 1e-6


def _check_one_to_one(rows, columns):
    assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)


@settings(deadline=None)
@given(
    seed=st.integers(0, 9999), n_rows=st.integers(1, 4), n_columns=st.integers(1, 4), density=st.sampled_from([0.4, 1])
)
def test_no_other_choice_is_worth_more(seed, n_rows, n_columns, density):
    rows, columns, weights = _random_pairs(seed, n_rows, n_columns, density)
    chosen = best_pairs(rows, columns, weights)
    _check_one_to_one(rows[chosen], columns[chosen])
    best = 0.0
    for size in range(min(n_rows, n_columns) + 1):
        for some in map(list, itertools.combinations(range(len(rows)), size)):
            if len(set(rows[some])) == len(set(columns[some])) == size:
                best = max(best, weights[some].sum())
    assert weights[chosen].sum() == pytest.approx(best)


@pytest.mark.parametrize("density", [0.001, 0.004, 0.05], ids=["small components", "a large one", "one"])
@pytest.mark.parametrize("group", [7, 1000])
def test_hundreds_of_objects_against_the_dense_solver(density, group, monkeypatch):
    monkeypatch.setattr(assignment, "_GROUP", group)
    rows, columns, weights = _random_pairs(1, 500, 400, density)
    dense = np.zeros((500, 400))
    dense[rows, columns] = weights
    chosen = best_pairs(rows, columns, weights)
    _check_one_to_one(rows[chosen], columns[chosen])
    assert weights[chosen].sum() == pytest.approx(dense[linear_sum_assignment(dense, maximize=True)].sum(), rel=1e-12)


def test_the_best_pair_first_would_be_wrong():
    rows, columns, weights = np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.5, 0.4, 0.4])
    assert best_pairs(rows, columns, weights).tolist() == [1, 2]


def test_a_row_may_stay_alone_for_a_heavier_total():
    rows, columns, weights = np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([0.1, 0.9, 0.2])
    assert best_pairs(rows, columns, weights).tolist() == [1]


def test_gaps_in_numbers_and_no_pairs():
    assert best_pairs(np.array([70, 3]), np.array([9, 10**6]), np.array([0.2, 0.1])).tolist() == [0, 1]
    assert best_pairs(np.zeros(0, int), np.zeros(0, int), np.zeros(0)).tolist() == []
