"""The volume of the small run, and what an undisturbed run of it writes."""

from pathlib import Path

import pytest
from tests.inferers.runs import TwoOutputs, make_volume, numbered, snapshot
from tests.inferers.small_run import ARGUMENTS, SHAPE, WINDOWS

from scripts.inferers import ZarrSlidingWindowInferer


@pytest.fixture(scope="module")
def small_volume(tmp_path_factory):
    return make_volume(tmp_path_factory.mktemp("in") / "in.zarr", numbered(SHAPE))


@pytest.fixture(scope="module")
def whole_run(small_volume, tmp_path_factory):
    """Output of an undisturbed run."""
    inferer = ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path_factory.mktemp("out") / "out")
    paths = inferer(small_volume, TwoOutputs())
    assert inferer.totals.windows == WINDOWS
    return Path(paths["sheet"]).parent


@pytest.fixture(scope="module")
def whole_bytes(whole_run):
    """Its bytes."""
    return snapshot(whole_run)
