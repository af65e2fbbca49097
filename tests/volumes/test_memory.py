"""Tests of giving memory back."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
sys.path.insert(0, "bundle")
import numpy as np
from scripts.volumes.memory import give_back_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

arrays = [np.ones(100_000, np.uint8) for _ in range(2000)]  # too small for pages of their own
last = np.ones(100_000, np.uint8)  # keeps the end of the heap
del arrays
before = resident()
give_back_memory()
print(before - resident())
"""


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_memory_that_was_freed_in_small_pieces_goes_back_to_the_system():
    given_back = int(subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout)
    assert given_back > 150_000_000
