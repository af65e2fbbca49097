"""IoU of all pairs, object by object."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.metrics import Contingency
from scripts.metrics.object_overlaps import object_overlaps


@settings(deadline=None)
@given(seed=st.integers(0, 999), ids=st.integers(1, 7), lowest=st.integers(0, 1))
def test_every_pair_that_overlaps_by_masks(seed, ids, lowest):
    """With background on both sides (lowest id 0) and without."""
    prediction, truth = np.random.default_rng(seed).integers(lowest, ids + 1, (2, 4, 5)).astype(np.uint64) * 2**60
    overlaps = object_overlaps(Contingency.of(prediction, truth))
    assert overlaps.prediction_ids.tolist() == [i for i in np.unique(prediction).tolist() if i]
    assert overlaps.truth_ids.tolist() == [i for i in np.unique(truth).tolist() if i]
    expected = {}
    for p in overlaps.prediction_ids:
        for t in overlaps.truth_ids:
            a, b = prediction == p, truth == t
            if (a & b).any():
                expected[int(p), int(t)] = (a & b).sum() / (a | b).sum()
    pairs = zip(overlaps.prediction_ids[overlaps.predicted], overlaps.truth_ids[overlaps.true], strict=True)
    found = dict(zip(((int(p), int(t)) for p, t in pairs), overlaps.iou.tolist(), strict=True))
    assert found == expected


def test_background_alone_holds_no_objects():
    overlaps = object_overlaps(Contingency.of(np.zeros(3, int), np.zeros(3, int)))
    assert [len(column) for column in overlaps] == [0] * 5
