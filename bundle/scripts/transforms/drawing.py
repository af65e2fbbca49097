"""What random transforms share: checks of their ranges, and one draw for all keys."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable


class OneDrawd(Randomizable, MapTransform):
    """Base of dictionary forms: the array form draws for the first key, and changes all keys alike.

    Args:
        keys: keys of the arrays.
        transform: array form; `transform(array, randomize=False)` repeats its last draw.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(self, keys: KeysCollection, transform: Any, allow_missing_keys: bool = False) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.transform = transform

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> OneDrawd:
        self.transform.set_random_state(seed, state)
        return self

    def randomize(self, data: Any) -> None:
        self.transform.randomize(data)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the sample with its arrays changed (see the array form)."""
        sample = dict(data)
        for number, key in enumerate(self.key_iterator(sample)):
            sample[key] = self.transform(sample[key], randomize=number == 0)
        return sample


def check_probability(name: str, value: float) -> float:
    """Return a probability.

    Raises:
        ValueError: when it is not a number from 0 to 1.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be a number from 0 to 1; got {value!r}")
    return float(value)


def check_range(name: str, values: Sequence[float], least: float, *, is_open: bool = False) -> tuple[float, float]:
    """Return the two ends of a range.

    Args:
        name: what the range is called in an error.
        values: smaller and larger end.
        least: smallest end there may be.
        is_open: whether the ends must be above `least`.

    Raises:
        ValueError: when they are not two finite numbers in ascending order, or too small.
    """
    ends = [float(value) for value in values] if isinstance(values, (list, tuple)) else []
    if len(ends) == 2 and ends[0] <= ends[1] < math.inf and (ends[0] > least or (ends[0] == least and not is_open)):
        return ends[0], ends[1]
    bound = f"above {least:g}" if is_open else f"of at least {least:g}"
    raise ValueError(f"{name} must hold two numbers {bound}, the smaller first; got {values!r}")
