"""Tests that a network runs in large pages of memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")

PROGRAM = """
import resource
import torch
import scripts
layers = [torch.nn.Conv3d(8, 8, 3, padding=1), torch.nn.InstanceNorm3d(8), torch.nn.LeakyReLU()]
network, x = torch.nn.Sequential(*layers), torch.zeros(2, 8, 64, 64, 64)
with torch.inference_mode():
    network(x)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    network(x)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(**environment):
    """Page faults of one forward pass."""
    environment = {key: value for key, value in os.environ.items() if key != "THP_MEM_ALLOC_ENABLE"} | environment
    environment["PYTHONPATH"] = "bundle"
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment)
    return int(done.stdout)


@pytest.mark.skipif(
    not SWITCH.is_file() or "[never]" in SWITCH.read_text(), reason="the system does not offer transparent large pages"
)
def test_a_network_runs_in_large_pages_unless_the_environment_says_no():
    assert page_faults() < page_faults(THP_MEM_ALLOC_ENABLE="0") / 4
