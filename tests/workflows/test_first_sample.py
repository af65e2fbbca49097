"""The first samples of a training are made before it starts, and leave no trace."""

import random

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import Dataset

from scripts.transforms import UnknownKeyError
from scripts.workflows.first_sample import first_sample_faults


class Loader:
    def __init__(self, data, transform=None):
        self.dataset = Dataset(data, transform)

    @staticmethod
    def collate_fn(samples):
        return torch.as_tensor(np.stack(samples))


class Prepare:
    def __init__(self):
        self.prepared = []

    def __call__(self, batch, device):
        self.prepared.append((batch, device))


PREPARE_TRAIN, PREPARE_VALIDATE = "train#trainer#prepare_batch", "validate#evaluator#prepare_batch"


def parser_of(train=None, validate=None):
    """A config whose loaders are these; its engines would raise if they were built."""
    no_engine = {"_target_": "no.Engine", "prepare_batch": None}
    config = {
        "train": {"dataloader": None, "trainer": no_engine},
        "validate": {"dataloader": None, "evaluator": no_engine},
    }
    parser = ConfigParser(config)
    parser.parse(True)
    found = {"train#dataloader": train, "validate#dataloader": validate}
    found |= {PREPARE_TRAIN: Prepare(), PREPARE_VALIDATE: Prepare()}
    parser.ref_resolver.resolved_content.update({key.replace("#", "::"): value for key, value in found.items()})
    return parser


def test_a_batch_of_one_is_prepared_on_the_processor():
    parser = parser_of(Loader([np.ones(3), np.zeros(3)]), Loader([np.full(2, 7.0)]))
    assert first_sample_faults(parser) == []
    for key, expected in ((PREPARE_TRAIN, [[1, 1, 1]]), (PREPARE_VALIDATE, [[7, 7]])):
        ((batch, device),) = parser.get_parsed_content(key).prepared
        assert batch.tolist() == expected
        assert device == torch.device("cpu")


def wrong_argument(_):
    raise TypeError("sigma must be a number")


def wrong_key(_):
    raise UnknownKeyError("carries no 'shet'")


def wrong_data(_):
    raise ValueError("a voxel is not finite")


@pytest.mark.parametrize(
    ("transform", "faults"),
    [
        (wrong_argument, ["train#dataset: fails on the first patch: ", "sigma must be a number"]),
        (wrong_key, ["train#dataset: fails on the first patch: ", "carries no 'shet'"]),
        (wrong_data, []),
    ],
)
def test_faults_of_the_config_are_told_and_those_of_the_data_are_left_to_the_run(transform, faults):
    found = first_sample_faults(parser_of(Loader([np.ones(3)], transform)))
    assert len(found) == bool(faults)
    assert all(part in found[0] for part in faults)


@pytest.mark.parametrize("loader", [Loader([]), object(), None])
def test_where_there_is_no_first_sample_nothing_is_tried(loader):
    parser = parser_of(loader)
    assert first_sample_faults(parser) == []
    assert parser.get_parsed_content(PREPARE_TRAIN).prepared == []


def test_random_numbers_are_those_that_would_have_come_anyway():
    def draw(_=None):
        return np.array([random.random(), np.random.random(), torch.rand(1).item()])  # noqa: NPY002

    def seed():
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)

    seed()
    expected = draw()
    seed()
    parser = parser_of(Loader([0], draw))
    assert first_sample_faults(parser) == []
    assert parser.get_parsed_content(PREPARE_TRAIN).prepared[0][0][0].tolist() == expected.tolist()
    assert draw().tolist() == expected.tolist()
