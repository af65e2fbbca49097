"""Tests that need an environment with MONAI Label: POLYTOME_LABEL_PYTHON names its interpreter (`make test-label`)."""

import os
from pathlib import Path

import pytest

PYTHON = "POLYTOME_LABEL_PYTHON"

collect_ignore = [] if os.environ.get(PYTHON) else ["test_server.py"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"label: starts a MONAI Label server; collected where {PYTHON} is set")


@pytest.fixture(scope="session")
def label_python() -> Path:
    """Interpreter of the environment of tests/label/requirements.txt."""
    named = os.environ.get(PYTHON)
    if not named or not Path(named).is_file():
        raise FileNotFoundError(f"{PYTHON} is {named!r}, which is no file; `make test-label` makes the environment")
    return Path(named)
