"""Running the bundle as a user does: its command lines, in a process of their own."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BUNDLE = Path(__file__).parents[2] / "bundle"

SHOWN_CHARACTERS = 6000


def command(*arguments: str | Path, cwd: Path = BUNDLE, timeout: float = 300) -> str:
    """Run `python -m ...` and return what it printed; the test fails with the end of it where the status is not 0."""
    process = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    if process.returncode != 0:
        shown = process.stdout[-SHOWN_CHARACTERS:]
        pytest.fail(f"python -m {' '.join(map(str, arguments))} ended with {process.returncode}:\n{shown}")
    return process.stdout


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
