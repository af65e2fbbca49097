"""Shared by all tests: the real volumes, and one thread count so that runs agree."""

import logging
import os
import signal
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that wait must not spin

import pytest
import torch
from hypothesis import settings
from tests.bundle.prepared_python import start_server

from scripts.volumes.few_warnings import forget_warnings

torch.set_num_threads(2)

# examples follow from a test's text: no change fails by one that it has nothing to do with. `make stress` draws anew
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as jobs in the background inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

NO_DATA = "POLYTOME_DATA is not set: it must name the folder that holds the real volumes"


def pytest_collection_modifyitems(items):
    if os.environ.get("POLYTOME_DATA"):
        return
    for item in items:
        if "real_data" in item.keywords:
            item.add_marker(pytest.mark.skip(reason=NO_DATA))


@pytest.fixture(autouse=True)
def usual_log_level():
    """A config that an earlier test ran has set its own; what is logged must not depend on the order of tests.

    Nor must a handler write to the standard error of that test, which is closed since.
    """
    logging.getLogger().setLevel(logging.WARNING)
    for logger in (logging.getLogger(), *logging.Logger.manager.loggerDict.values()):
        for handler in [*getattr(logger, "handlers", ())]:
            if isinstance(handler, logging.StreamHandler) and getattr(handler.stream, "closed", False):
                logger.removeHandler(handler)  # type: ignore[union-attr]


@pytest.fixture(autouse=True)
def warnings_anew():
    """Nor must it depend on what earlier tests were warned of."""
    forget_warnings()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real volumes."""
    folder = Path(os.environ["POLYTOME_DATA"]).resolve()
    if not folder.is_dir():
        raise FileNotFoundError(f"POLYTOME_DATA names {folder}, which is no folder")
    return folder


@pytest.fixture(scope="session")
def prepared_workers():
    """Dask's workers are forked from a process that has imported the libraries, instead of importing them each."""
    dask = pytest.importorskip("dask")
    start_server()
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        yield
