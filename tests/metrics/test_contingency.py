"""The table against counting voxel by voxel and scikit-image."""

import json
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import contingency_table

from scripts.metrics import Contingency
from scripts.metrics import contingency as module
from scripts.metrics.contingency import as_contingency, sizes_by_id


def _as_dictionary(table):
    return dict(
        zip(zip(table.prediction.tolist(), table.truth.tolist(), strict=True), table.voxels.tolist(), strict=True)
    )


def _labels(seed, shape=(5, 6, 7), ids=4):
    return np.random.default_rng(seed).integers(0, ids, (2, *shape))


def test_counts_equal_scikit_image():
    prediction, truth = _labels(0, (20, 21, 22), ids=30)
    table = Contingency.of(prediction, truth)
    expected = contingency_table(truth, prediction, sparse_type="array").tocoo()
    rows = zip(expected.col.tolist(), expected.row.tolist(), expected.data.tolist(), strict=True)
    assert _as_dictionary(table) == {(p, t): n for p, t, n in rows}


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(*[st.sampled_from([0, 1, 2**32 - 1, 2**32, 2**53, 2**53 + 1, 2**64 - 1])] * 2)),
    cuts=st.lists(st.integers(0, 40)),
)
def test_blocks_add_up_and_large_ids_stay_apart(pairs, cuts):
    """Ids that float32 or float64 would merge, in blocks of any size."""
    prediction, truth = np.array(pairs, dtype=np.uint64).reshape(-1, 2).T
    added, merged = Contingency(), Contingency()
    for part in np.split(np.arange(len(pairs)), sorted(cuts)):
        added.add(prediction[part], truth[part])
        merged.merge(Contingency.of(prediction[part], truth[part]))
    assert _as_dictionary(added) == _as_dictionary(merged) == Counter(pairs)
    rows = list(zip(added.prediction.tolist(), added.truth.tolist(), strict=True))
    assert rows == sorted(rows)


def test_arrays_beyond_a_chunk_and_many_parts(monkeypatch):
    prediction, truth = _labels(1)
    known = np.random.default_rng(2).random(truth.shape) < 0.7
    whole = _as_dictionary(Contingency.of(prediction, truth, known))
    assert whole == Counter(zip(prediction[known].tolist(), truth[known].tolist(), strict=True))
    monkeypatch.setattr(module, "_CHUNK", 16)
    monkeypatch.setattr(module, "_FEW", 3)
    assert _as_dictionary(Contingency.of(prediction, truth, known)) == whole
    transposed = Contingency.of(prediction.transpose(2, 0, 1), truth.transpose(2, 0, 1), known.transpose(2, 0, 1))
    assert _as_dictionary(transposed) == whole


def test_dtypes_of_the_two_arrays_may_differ():
    table = Contingency.of(np.array([1, 2], np.uint8), np.array([5, 2**40], np.int64))
    assert _as_dictionary(table) == {(1, 5): 1, (2, 2**40): 1}


def test_negative_ids_count_nowhere_else_where_unknown():
    truth = np.array([1, -1, 1])
    with pytest.raises(ValueError, match="truth holds the id -1"):
        Contingency.of([1, 1, 1], truth)
    assert _as_dictionary(Contingency.of([1, 1, 1], truth, known=truth >= 0)) == {(1, 1): 2}
    with pytest.raises(ValueError, match="prediction holds the id -2"):
        Contingency.of([-2], [1])


def test_state_survives_files_and_processes(tmp_path):
    table = Contingency.of(np.array([2**64 - 1, 0, 0], np.uint64), np.array([7, 7, 7]))
    expected = {(0, 7): 2, (2**64 - 1, 7): 1}
    np.savez(tmp_path / "table.npz", **table.state())
    with np.load(tmp_path / "table.npz") as columns:
        assert _as_dictionary(Contingency(**columns)) == expected
    text = json.dumps({name: column.tolist() for name, column in table.state().items()})
    assert _as_dictionary(Contingency(**json.loads(text))) == expected
    assert _as_dictionary(pickle.loads(pickle.dumps(table))) == expected


def test_columns_are_summed_and_must_agree():
    assert _as_dictionary(Contingency([1, 2, 1], [3, 3, 3], [10, 20, 30])) == {(1, 3): 40, (2, 3): 20}
    with pytest.raises(ValueError, match=r"one number per pair each, got \[2, 1, 2\] numbers"):
        Contingency([1, 2], [3], [1, 1])


def test_merging_leaves_the_other_table_alone():
    a, b = Contingency.of([1], [1]), Contingency.of([1], [1])
    a.merge(b)
    a.merge(b)
    a.merge(a)
    assert _as_dictionary(a) == {(1, 1): 6}
    assert _as_dictionary(b) == {(1, 1): 1}


def test_empty_arrays_have_no_pairs():
    assert _as_dictionary(Contingency.of(np.zeros((0, 4), int), np.zeros((0, 4), int))) == {}
    assert _as_dictionary(Contingency.of([1], [1], known=[False])) == {}


def test_sizes_by_id():
    ids, place, sizes = sizes_by_id(np.array([9, 0, 9], np.uint64), np.array([5, 1, 2]))
    assert (ids.tolist(), place.tolist(), sizes.tolist()) == ([0, 9], [1, 0, 1], [1, 7])


def test_a_table_stands_for_both_arrays():
    table = Contingency.of([1], [1])
    assert as_contingency(table, None, None) is table
    with pytest.raises(TypeError, match="a Contingency holds the truth already"):
        as_contingency(table, [1], None)
    with pytest.raises(TypeError, match="truth is missing"):
        as_contingency([1], None, None)
