"""A training is rehearsed by the first process alone."""

from scripts.workflows.rehearsal import alone


def test_networks_of_several_processes_are_rehearsed_alone():
    """The others wait: a network that is connected with theirs would wait, too."""
    connected = {"_target_": "torch.nn.parallel.DistributedDataParallel", "module": "@network", "device_ids": None}
    config = {"train": {"trainer": {"network": connected, "max_epochs": 2}}, "run": ["$1", {"a": connected}]}
    trainer = {"network": "@network", "max_epochs": 2}
    assert alone(config) == {"train": {"trainer": trainer}, "run": ["$1", {"a": "@network"}]}
