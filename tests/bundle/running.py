"""Running the bundle as a user does: its command lines, in a process of their own.

Half a minute of computing would take five seconds to start, so that processes are forked from one in which MONAI is
imported; tests/bundle/test_start.py and others start Python itself.
"""

import csv
import json
import os
import tempfile
from pathlib import Path

import pytest
from tests.bundle.prepared_python import ended, prepared_process

BUNDLE = Path(__file__).parents[2] / "bundle"

SHOWN_CHARACTERS = 6000


def command(*arguments: str | Path, cwd: Path = BUNDLE, timeout: float = 300) -> str:
    """Run `python -m ...` and return what it printed; the test fails with the end of it where the status is not 0."""
    with tempfile.TemporaryFile("w+") as output, Path(os.devnull).open() as nothing:
        streams = [nothing.fileno(), output.fileno(), output.fileno()]
        words = ["-m", *map(str, arguments)]
        status = ended(prepared_process(words, str(cwd), dict(os.environ), streams), timeout)
        output.seek(0)
        printed = output.read()
    if status != 0:
        how = f"was not done after {timeout} s" if status is None else f"ended with {status}"
        pytest.fail(f"python -m {' '.join(map(str, arguments))} {how}:\n{printed[-SHOWN_CHARACTERS:]}")
    return printed


def run(*arguments: str | Path, configs: list[str | Path], cwd: Path = BUNDLE, timeout: float = 300) -> str:
    """`python -m monai.bundle run ARGUMENTS --config_file CONFIGS`; the ids to run, if any, stand first."""
    return command(
        "monai.bundle", "run", *arguments, "--config_file", str([str(path) for path in configs]),
        cwd=cwd, timeout=timeout,
    )  # fmt: skip


def write_overlay(path: Path, **settings: object) -> Path:
    """A config file that is given after another one and replaces its entries."""
    path.write_text(json.dumps(settings, indent=1))
    return path


def folders(root: Path) -> dict[str, str]:
    """Where a run of a test reads and writes."""
    return {"dataset_dir": str(root), "output_dir": str(root / "output"), "ckpt_dir": str(root / "models")}


def read_history(root: Path) -> list[dict[str, str]]:
    """Rows of the history of a run in `folders(root)`, one per epoch."""
    with (root / "output" / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def options(**settings: object) -> list[str]:
    """Settings as options of a command line: `--key value`."""
    return [word for key, value in settings.items() for word in (f"--{key}", str(value))]
