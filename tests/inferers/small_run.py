"""A small run of two targets in many blocks, which tests stop, disturb and go on with."""

import pytest
from tests.inferers.runs import TARGETS, StopsAfter

from scripts.blockwise import RunFolder
from scripts.inferers import ZarrSlidingWindowInferer

ARGUMENTS = {
    "roi_size": (10, 8, 8),
    "overlap": 0.5,
    "targets": TARGETS,
    "skip_empty": False,
    "chunk_size": 8,
    "block_size": 8,
    "levels": 3,
}
SHAPE = (26, 24, 20)
WINDOWS = 5 * 5 * 4
BLOCKS = 3 * 3 * 2
"""Windows begin at 0, 5, 10, 15 and 16 along z, at 0, 4 ... 16 along y, at 0, 4, 8 and 12 along x."""


def stopped(volume, arguments, windows=50):
    """A run that stops when it is given more windows than a number."""
    network = StopsAfter(windows)
    with pytest.raises(KeyboardInterrupt):
        ZarrSlidingWindowInferer(**arguments)(volume, network)
    return network


def finished_blocks(folder):
    return len(RunFolder(folder).read_all("done/"))
