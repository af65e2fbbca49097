"""Ranges and probabilities that are refused, and one draw for all keys."""

import pytest
import torch
from monai.transforms import RandomizableTransform

from scripts.transforms.drawing import OneDrawd, check_probability, check_range


class AddDrawn(RandomizableTransform):
    """Adds a random number."""

    def randomize(self, data):
        self.number = self.R.random()

    def __call__(self, array, randomize=True):
        if randomize:
            self.randomize(array)
        return array + self.number


def test_all_keys_get_the_draw_of_the_first():
    transform = OneDrawd(["a", "b"], AddDrawn()).set_random_state(3)
    first = transform({"a": torch.zeros(2), "b": torch.ones(2), "c": 5})
    assert torch.equal(first["b"] - first["a"], torch.ones(2))
    assert first["c"] == 5
    second = transform({"a": torch.zeros(2), "b": torch.ones(2)})
    assert not torch.equal(first["a"], second["a"])
    again = transform.set_random_state(3)({"a": torch.zeros(2), "b": torch.ones(2)})
    assert torch.equal(first["a"], again["a"])


def test_missing_keys():
    with pytest.raises(KeyError, match="absent"):
        OneDrawd(["absent"], AddDrawn())({"a": 1})
    assert OneDrawd(["absent"], AddDrawn(), allow_missing_keys=True)({"a": 1}) == {"a": 1}


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", None, True])
def test_what_is_no_probability(value):
    with pytest.raises(ValueError, match=f"prob must be a number from 0 to 1; got {value!r}"):
        check_probability("prob", value)
    assert check_probability("prob", 1) == 1.0


@pytest.mark.parametrize("values", [(1,), (2, 1), (-1, 1), 1, (0, float("inf")), (0, float("nan"))])
def test_what_is_no_range(values):
    with pytest.raises(ValueError, match="std must hold two numbers of at least 0, the smaller first; got "):
        check_range("std", values, 0)


def test_an_open_range_excludes_its_bound():
    assert check_range("std", [0, 1], 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match=r"factor must hold two numbers above 0, the smaller first; got \[0, 1\]"):
        check_range("factor", [0, 1], 0, is_open=True)
