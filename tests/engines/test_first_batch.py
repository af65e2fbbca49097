"""What is said of the first batch."""

import logging

import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from scripts.engines import FirstBatch
from scripts.engines.first_batch import describe

NAN = float("nan")


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.tensor([[-2.125, 4.3333333]]), "image 1 2 float32 min -2.125 max 4.333"),
        (torch.tensor([3, -1, 255], dtype=torch.int32), "image 3 int32 min -1 max 255"),
        (torch.tensor([True, False]), "image 2 bool min 0 max 1"),
        (torch.tensor([1.0, NAN, NAN]), "image 3 float32 min 1 max 1 NaN 2"),
        (torch.tensor([NAN]), "image 1 float32 min - max - NaN 1"),
        (MetaTensor(torch.tensor([[5.0]])), "image 1 1 float32 min 5 max 5"),
    ],
)
def test_a_line_on_a_tensor(tensor, words):
    assert describe("image", tensor).split() == words.split()


def test_it_is_said_once_of_every_tensor(caplog):
    caplog.set_level(logging.INFO, logger="scripts.engines.first_batch")
    engine = Engine(lambda engine, batch: None)
    FirstBatch().attach(engine)
    batches = [{"image": torch.tensor([7.0]), "path": "x.zarr", "sheet": torch.tensor([1])}, {"image": torch.ones(9)}]
    engine.run(batches, max_epochs=2)
    (record,) = caplog.records
    title, *lines = record.getMessage().split("\n")
    assert title == "first batch:"
    assert [line.split() for line in lines] == [
        ["image", "1", "float32", "min", "7", "max", "7"],
        ["sheet", "1", "int64", "min", "1", "max", "1"],
    ]


def test_a_resumed_run_says_it_too(caplog):
    caplog.set_level(logging.INFO, logger="scripts.engines.first_batch")
    engine = Engine(lambda engine, batch: None)
    FirstBatch().attach(engine)
    engine.load_state_dict({"iteration": 4, "epoch_length": 2, "max_epochs": 9})
    engine.run([{"image": torch.tensor([3.0])}] * 2, max_epochs=3)
    assert [record.getMessage().split()[:4] for record in caplog.records] == [["first", "batch:", "image", "1"]]
