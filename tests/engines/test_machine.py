"""What is said of the machine."""

import importlib.metadata
import os
import platform
import socket

import torch

from scripts.engines.machine import machine_facts


def test_facts_are_those_of_the_system_and_the_packages():
    facts = machine_facts()
    assert facts["host"] == socket.gethostname()
    assert facts["Python"] == platform.python_version()
    assert facts["cores"].split(" of ")[1] == str(os.cpu_count())
    assert facts["torch"] == torch.__version__  # the metadata of PyPI's leave +cu130 out
    for name in ("monai", "pytorch-ignite", "numpy", "zarr"):
        assert facts[name] == importlib.metadata.version(name)
    assert all(isinstance(value, str) and value for value in facts.values())


def test_memory_is_what_the_kernel_says():
    with open("/proc/meminfo") as file:  # noqa: PTH123
        kilobytes = int(file.readline().split()[1])
    assert float(machine_facts()["memory"].split()[0]) == round(kilobytes / 2**20, 1)


def test_gpus_are_named(monkeypatch):
    class Properties:
        name, total_memory = "Test 9000", 12 * 2**30

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda n: Properties)
    facts = machine_facts()
    assert (facts["GPU 0"], facts["GPU 1"]) == ("Test 9000, 12.0 GiB",) * 2
    assert "GPU" not in facts
