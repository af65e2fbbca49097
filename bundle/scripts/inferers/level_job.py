"""Coarser levels of a run's images, block by block, in any process."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from .store import PredictionStore


@dataclass
class LevelJob:
    """Writes blocks of levels that were started.

    Args:
        store: with the images.
    """

    store: PredictionStore

    def prepared(self, worker: int = 0) -> contextlib.AbstractContextManager[None]:
        """Nothing needs to be prepared."""
        return contextlib.nullcontext()

    def write(self, part: tuple[int, ...]) -> None:
        """Write a block: number of the image, level, lattice index z, y, x."""
        number, level, *index = part
        self.store.writers[number].write_level_block(level, index)
