"""When a training is rehearsed."""

from types import SimpleNamespace

import pytest
from monai.bundle import ConfigParser
from torch import distributed

from scripts.workflows.rehearsal import engine_faults, rehearse


def test_several_processes_rehearse_nothing(monkeypatch):
    """The first one would wait for the others, which wait for what it finds."""
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    parser = ConfigParser({"sliced_volumes": [], "read_shape": [1, 1, 1], "chosen": {}})
    assert rehearse(parser, lambda find: find()) == []


@pytest.mark.parametrize("loader", ["x", {"a": 1}, [], [1, 2]])
def test_what_gives_no_batches_is_no_loader(loader):
    assert engine_faults(SimpleNamespace(data_loader=loader), "train#trainer") == [
        f"train#trainer: its train_data_loader must give batches; got {loader!r}"
    ]
    (said,) = engine_faults(SimpleNamespace(data_loader=loader), "validate#evaluator")
    assert "its val_data_loader must" in said


@pytest.mark.parametrize("loader", [[{"image": 1}], iter([]), None])
def test_anything_else_may_give_batches(loader):
    assert engine_faults(SimpleNamespace(data_loader=loader), "train#trainer") == []
