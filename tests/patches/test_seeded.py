"""Samples are the same whoever makes them."""

import pickle

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, RandGaussianNoised, Randomizable, Transform

from scripts.patches import PatchDataset, PatchError, PatchSampler, SeededIndex, sample_seed

DATA = [{"image": torch.full((1, 2, 2, 2), float(i))} for i in range(6)]


def noise() -> Compose:
    return Compose([RandGaussianNoised("image", prob=0.5, std=1.0), RandGaussianNoised("image", prob=0.5, std=10.0)])


def epochs(num_workers: int, first: int = 1, count: int = 2) -> list[torch.Tensor]:
    """Images of each epoch, N C D H W."""
    sampler = PatchSampler(6, 8, seed=7)
    sampler.set_epoch(first)
    context = "forkserver" if num_workers else None
    loader = DataLoader(
        PatchDataset(DATA, noise()), num_workers, sampler=sampler, batch_size=2, multiprocessing_context=context
    )
    return [torch.cat([batch["image"].as_tensor() for batch in loader]) for _ in range(count)]


def test_samples_do_not_depend_on_the_number_of_workers():
    alone, shared = epochs(0), epochs(2)
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(alone[0], alone[1])


def test_a_sample_is_made_by_one_thread():
    """As in a worker; the process has its threads again for what comes after, even where the sample fails."""
    seen = []
    assert torch.get_num_threads() == 2
    PatchDataset(DATA, lambda datum: seen.append(torch.get_num_threads()))[SeededIndex(0, 1)]
    assert (seen, torch.get_num_threads()) == ([1], 2)
    with pytest.raises(PatchError):
        PatchDataset(DATA, lambda datum: 1 / 0)[SeededIndex(0, 1)]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("n", [9, 13, 16, 29, 64])
def test_products_and_sums_of_a_sample_do_not_depend_on_threads(n):
    """Whatever a sample's size: several threads round matrix products and sums of some sizes otherwise."""
    generator = torch.Generator().manual_seed(n)
    arrays = [torch.randn(shape, generator=generator) for shape in ((n, n), (n, 16 * n), (n, n, n))]

    def reduce(datum):
        return {"product": arrays[0] @ arrays[1], "mean": arrays[2].mean(), "deviation": arrays[2].std()}

    made = []
    for n_threads in (1, 2, 3):
        torch.set_num_threads(n_threads)
        try:
            made.append(PatchDataset(DATA, reduce)[SeededIndex(0, 1)])
        finally:
            torch.set_num_threads(2)
    for other in made[1:]:
        for key, value in made[0].items():
            assert torch.equal(value, other[key])


def test_a_later_epoch_needs_no_earlier_one():
    assert torch.equal(epochs(0, first=2, count=1)[0], epochs(0)[1])


def test_each_place_has_its_own_seed():
    """Every triple of (run seed, epoch, position) gives another seed, and always the same one."""
    seeds = [sample_seed(seed, epoch, place) for seed in range(3) for epoch in range(20) for place in range(200)]
    assert len(set(seeds)) == len(seeds)
    assert sample_seed(1, 2, 3) == int(np.random.SeedSequence([1, 2, 3]).generate_state(1)[0])


def test_an_index_survives_the_way_to_a_worker():
    index = pickle.loads(pickle.dumps(SeededIndex(4, 99)))
    assert (index, index.seed) == (4, 99)


def test_the_sample_carries_its_seed_and_the_datum_stays_as_it_is():
    data = [{"image": 1}]
    assert PatchDataset(data)[SeededIndex(0, 5)] == {"image": 1, "seed": 5}
    assert data == [{"image": 1}]


def test_a_plain_index_is_as_in_monai():
    assert PatchDataset([{"image": 1}])[0] == {"image": 1}


class _Draw(Randomizable, Transform):
    """A lone random transform."""

    def __call__(self, data):
        return {**data, "drawn": self.R.random()}


@pytest.mark.parametrize("transform", [_Draw(), Compose([_Draw()])])
def test_the_same_seed_draws_the_same(transform):
    dataset = PatchDataset([{}], transform)
    first, other, again = (dataset[SeededIndex(0, seed)]["drawn"] for seed in (1, 2, 1))
    assert first == again
    assert first != other
