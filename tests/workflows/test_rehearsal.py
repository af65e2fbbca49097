"""When a training is rehearsed."""

from monai.bundle import ConfigParser
from torch import distributed

from scripts.workflows.rehearsal import rehearse


def test_several_processes_rehearse_nothing(monkeypatch):
    """The first one would wait for the others, which wait for what it finds."""
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    parser = ConfigParser({"sliced_volumes": [], "read_shape": [1, 1, 1], "chosen": {}})
    assert rehearse(parser, lambda find: find()) == []
