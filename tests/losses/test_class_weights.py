"""Weights of classes from their counts, by hand."""

import pytest

from scripts.losses import balanced_weights


@pytest.mark.parametrize(
    ("voxels", "independent", "weights"),
    [
        ([800, 150, 50], False, [1000 / 2400, 1000 / 450, 1000 / 150]),
        ([800, 200, 0], False, [1000 / 1600, 1000 / 400, 1.0]),
        ([750, 250], True, [3.0]),
        ([1000, 0], True, [1.0]),
        ([800, 150, 50], True, [200 / 800, 850 / 150, 950 / 50]),
    ],
)
def test_rare_classes_count_as_much_as_common_ones(voxels, independent, weights):
    assert balanced_weights(voxels, independent=independent) == pytest.approx(weights)


def test_classes_decided_together_have_a_mean_weight_of_1():
    voxels = [800, 150, 50]
    weights = balanced_weights(voxels, independent=False)
    assert sum(w * n for w, n in zip(weights, voxels, strict=True)) / 1000 == pytest.approx(1.0)


def test_nothing_counted_is_an_error():
    with pytest.raises(ValueError, match="needs voxels of at least one class; none were counted"):
        balanced_weights([0, 0], independent=True)
