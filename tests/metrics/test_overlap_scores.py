"""Overlaps against NumPy."""

import numpy as np
import pytest

from scripts.metrics import Contingency, Counts, class_overlaps, overlap


def _masks(seed, ids=2):
    return np.random.default_rng(seed).integers(0, ids, (2, 4, 5, 6))


def test_dice_and_iou_of_masks():
    prediction, truth = _masks(0).astype(bool)
    counts = overlap(prediction, truth)
    both = (prediction & truth).sum()
    assert counts.f1 == pytest.approx(2 * both / (prediction.sum() + truth.sum()))
    assert counts.jaccard == pytest.approx(both / (prediction | truth).sum())


def test_every_id_is_foreground_and_blocks_add_up():
    prediction, truth = _masks(1, ids=2**40)
    prediction[0], truth[:, 0] = 0, 0
    whole = overlap(prediction, truth)
    assert whole == overlap(prediction != 0, truth != 0)
    assert whole == overlap(prediction[:1], truth[:1]) + overlap(prediction[1:], truth[1:])


def test_unknown_voxels_count_nowhere():
    assert overlap([1, 1, 1, 0], [1, 0, 1, 1], known=[True, False, True, True]) == Counts(2, 0, 1)
    assert overlap([1], [1], known=[False]) == Counts()


def test_classes_each_by_itself():
    prediction, truth = _masks(2, ids=4)
    truth[truth == 3] = 0  # predicted, but never true
    counts = class_overlaps(Contingency.of(prediction, truth))
    assert list(counts) == [1, 2, 3]
    for name, found in counts.items():
        assert found == overlap(prediction == name, truth == name)


def test_no_class_anywhere():
    assert class_overlaps(Contingency.of(np.zeros(3, int), np.zeros(3, int))) == {}


def test_bad_input():
    with pytest.raises(TypeError, match=r"prediction has dtype float32; .*threshold"):
        overlap(np.full(2, 0.5, np.float32), np.ones(2, bool))
    with pytest.raises(ValueError, match=r"shape \(2,\), but truth has \(3,\)"):
        overlap([1, 2], [1, 2, 3])
