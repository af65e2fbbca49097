"""Scores of edges against NumPy; what merging does is tested with agglomeration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scripts.segmentation import RegionGraph
from scripts.segmentation.merge_queue import MergeQueue, edge_scores


def graph_of(steps):
    """A chain of regions whose edges hold these boundary strengths x 255."""
    counts = np.array([np.bincount(step, minlength=256) for step in steps]).reshape(-1, 256)
    edges = np.stack([np.arange(len(steps)), np.arange(len(steps)) + 1], axis=1).astype(np.uint64) + np.uint64(1)
    total = np.array([sum(step) / 255 for step in steps])
    return RegionGraph(edges, counts.sum(axis=1), total, sparse.csr_array(counts))


chains = st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=8), max_size=5)


@pytest.mark.parametrize("quantile", [0, 0.1, 0.25, 0.5, 0.75, 1])
@given(steps=chains)
def test_quantiles_equal_those_of_numpy(quantile, steps):
    expected = [np.quantile(step, quantile, method="inverted_cdf") / 255 for step in steps]
    assert edge_scores(graph_of(steps), quantile).tolist() == expected


@given(steps=chains)
def test_without_a_quantile_the_score_is_the_mean(steps):
    np.testing.assert_allclose(edge_scores(graph_of(steps)), [np.mean(step) / 255 for step in steps])


def test_a_long_chain_merges_into_one_region():
    queue = MergeQueue(graph_of([[7]] * 5000))
    queue.merge_below(1.0)
    assert np.unique(queue.regions()).tolist() == [1]
