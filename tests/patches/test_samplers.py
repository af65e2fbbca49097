"""How often patches are drawn, against the definition of each method."""

import numpy as np
import pytest
import torch

from scripts.patches import PatchSampler, select_patches
from scripts.patches.class_counts import ClassCounts

COUNTS = ClassCounts(["a", "b"], np.array([[30, 0], [10, 0], [0, 0], [0, 5], [60, -1]]))


def frequencies(sampler, epochs=40):
    drawn = np.concatenate([list(sampler) for _ in range(epochs)])
    return np.bincount(drawn, minlength=sampler.n_patches) / len(drawn)


@pytest.mark.parametrize(("n_patches", "num_samples"), [(5, 12), (7, 3), (1, 4)])
def test_uniform_draws_each_once_before_any_again(n_patches, num_samples):
    sampler = PatchSampler(n_patches, num_samples)
    assert len(sampler) == len(list(sampler)) == num_samples
    times = np.bincount(list(sampler), minlength=n_patches)
    assert times.max() - times.min() <= 1
    assert len(PatchSampler(n_patches)) == n_patches


def test_order_follows_seed_and_epoch():
    sampler = PatchSampler(50, seed=3)
    first, second = list(sampler), list(sampler)
    again = PatchSampler(50, seed=3)
    again.set_epoch(2)
    assert list(again) == second
    again.set_epoch(1)
    assert [list(again), list(again)] == [first, second]
    assert first != second
    assert list(PatchSampler(50, seed=4)) != first


def test_the_order_leaves_global_generators_alone():
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    list(PatchSampler(50))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002


def test_processes_together_draw_what_one_draws():
    """Batches of 2 on 3 processes are batches of 6 on one: draws 0, 3 | 1, 4 | 2, 5, then 6, 9 | 7, 10 | 8, 11."""
    one = [(int(index), index.seed) for index in PatchSampler(5, 12, seed=1)]
    parts = []
    for rank in range(3):
        sampler = PatchSampler(5, 12, seed=1, rank=rank, n_ranks=3)
        parts.append([(int(index), index.seed) for index in sampler])
        assert len(sampler) == len(parts[-1]) == 4
    for step in range(2):
        together = [part[2 * step + i] for i in range(2) for part in parts]
        assert together == one[6 * step : 6 * step + 6]


def test_what_cannot_be_shared_is_an_error():
    with pytest.raises(ValueError, match="3 processes cannot share 10 samples evenly"):
        PatchSampler(5, 10, n_ranks=3)
    with pytest.raises(ValueError, match=r"rank must be 0 to n_ranks - 1; got rank = 2, n_ranks = 2"):
        PatchSampler(5, 10, rank=2, n_ranks=2)


def test_foreground_share_is_drawn_by_class():
    """Half of 1,000 by class: each class 250 times, class a in proportion 30 : 10 : 60, class b always patch 3."""
    found = frequencies(PatchSampler(5, 1000, "foreground", COUNTS, foreground_share=0.5))
    expected = 0.5 / 5 + np.array([0.25 * 0.3, 0.25 * 0.1, 0, 0.25, 0.25 * 0.6])
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_one_third_is_the_default_share():
    found = frequencies(PatchSampler(5, 999, "foreground", COUNTS))
    assert found[2] == pytest.approx(2 / 3 / 5, abs=0.01)  # no class there: drawn by the uniform share alone


def test_class_balanced_weighs_by_inverse_frequency():
    found = frequencies(PatchSampler(5, 1000, "class_balanced", COUNTS))
    np.testing.assert_allclose(found, [0.5 * 0.3, 0.5 * 0.1, 0, 0.5, 0.5 * 0.6], atol=0.01)


def test_force_all_classes_keeps_the_complete_patches():
    counts = ClassCounts(["a", "b"], np.array([[1, 1], [0, 3], [5, -1], [2, 2]]))
    assert select_patches([{}] * 4, counts, force_all_classes=True) == [0, 3]
    assert select_patches([{}] * 4, counts) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match=r"none of 5 patches holds every class; .*'a': 3, 'b': 1"):
        select_patches([{}] * 5, COUNTS, force_all_classes=True)
    with pytest.raises(ValueError, match="needs the class counts"):
        select_patches([{}], None, force_all_classes=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "random"}, "one of uniform, foreground, class_balanced; got 'random'"),
        ({"foreground_share": 33}, "a share from 0 to 1; got 33"),
        ({"num_samples": 0}, "got 5 and 0"),
        ({"method": "foreground"}, "class counts of its 5 patches; got none"),
        ({"method": "foreground", "counts": COUNTS.of([0])}, "class counts of its 5 patches; got those of 1"),
        (
            {"method": "class_balanced", "counts": ClassCounts(["a"], np.zeros((5, 1), int))},
            "no patch holds any of the classes a",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        PatchSampler(5, **arguments)


@pytest.mark.parametrize("ranks", [1, 2])
def test_an_epoch_that_goes_on_has_the_rest_of_its_draws(ranks):
    for rank in range(ranks):
        options = {"seed": 5, "rank": rank, "n_ranks": ranks}
        whole, parted = PatchSampler(7, 24, **options), PatchSampler(7, 24, **options)
        first, second = ([(int(index), index.seed) for index in whole] for _ in range(2))
        parted.skip(4)
        assert [(int(index), index.seed) for index in parted] == first[4:]
        assert [(int(index), index.seed) for index in parted] == second
