"""Samples whose randomness depends on nothing but their place in the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.data import Dataset
from monai.transforms import Randomizable

from ..geometry import SEED_KEY, one_thread
from .patch_errors import patch_error


class SeededIndex(int):
    """Index of a datum that carries the seed for its random transforms; survives the way to a worker process."""

    seed: int

    def __new__(cls, index: int, seed: int) -> SeededIndex:
        one = super().__new__(cls, index)
        one.seed = seed
        return one

    def __reduce__(self) -> tuple[Callable[..., SeededIndex], tuple[int, int]]:
        return SeededIndex, (int(self), self.seed)


def sample_seed(seed: int, epoch: int, position: int) -> int:
    """Seed of 32 bits for the sample at a position of an epoch."""
    return int(np.random.SeedSequence([seed, epoch, position]).generate_state(1)[0])


class PatchDataset(Dataset):
    """Data and transforms; a `SeededIndex` seeds the transforms anew for each sample.

    MONAI seeds the transforms once per worker, so that a sample depends on how many workers there are and on what came
    before it. Here a sample is the same whichever process makes it, and whenever. One thread makes it, as in workers:
    by several its last bits would be others.

    Every sample carries its seed under `seed`, for transforms that run later, on the device.

    Args:
        data: one dictionary per patch.
        transform: applied to each; random ones are MONAI `Randomizable`s, alone or in a `Compose`.
        seed: of indices that carry none: a datum is the same sample then whenever it is asked for, as validation wants
            it. `None`: such samples are not seeded.

    Asked for a sample that cannot be made, it raises `PatchError`, which names the patch.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable[..., Any] | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(data, transform)
        self.seed = seed

    def _transform(self, index: int) -> Any:
        try:
            with one_thread():
                return self._seeded(index)
        except Exception as error:  # whatever a transform raises, the message says which patch it was
            raise patch_error(self.data[index], error) from error

    def _seeded(self, index: int) -> Any:
        if not isinstance(index, SeededIndex):
            if self.seed is None:
                return super()._transform(index)
            index = SeededIndex(index, sample_seed(self.seed, 0, index))
        datum = {**self.data[index], SEED_KEY: index.seed}
        if isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed=index.seed)
        return datum if self.transform is None else self.transform(datum)
