"""Running the bundle as a user does: its command lines, in a process of their own.

Half a minute of computing would take five seconds to start, so that processes are forked from one in which MONAI is
imported. The bundle's own package is imported anew; tests/bundle/test_start.py and others start Python itself.
"""

import atexit
import csv
import json
import multiprocessing
import os
import runpy
import sys
import tempfile
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import pytest

BUNDLE = Path(__file__).parents[2] / "bundle"

SHOWN_CHARACTERS = 6000

_LAUNCHER = multiprocessing.get_context("forkserver")
_LAUNCHER.set_forkserver_preload(
    ["monai.bundle", "ignite.engine", "zarr", "scipy.ndimage", "skimage.measure", "torch.utils.tensorboard"]
)


def command(*arguments: str | Path, cwd: Path = BUNDLE, timeout: float = 300) -> str:
    """Run `python -m ...` and return what it printed; the test fails with the end of it where the status is not 0."""
    with tempfile.TemporaryFile("w+") as output:
        process = _LAUNCHER.Process(target=_main, args=(list(map(str, arguments)), str(cwd), DupFd(output.fileno())))
        process.start()
        process.join(timeout)
        is_late = process.is_alive()
        process.kill()
        process.join()
        output.seek(0)
        printed = output.read()
    if is_late or process.exitcode != 0:
        ended = f"was not done after {timeout} s" if is_late else f"ended with {process.exitcode}"
        pytest.fail(f"python -m {' '.join(map(str, arguments))} {ended}:\n{printed[-SHOWN_CHARACTERS:]}")
    return printed


def _main(arguments: list[str], cwd: str, output: Any) -> None:
    """What `python -m` does, in a process that has imported the libraries already."""
    os.dup2(output.detach(), 1)
    os.dup2(1, 2)
    os.chdir(cwd)
    sys.path.insert(0, cwd)
    sys.argv = arguments
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except Exception:
        sys.excepthook(*sys.exc_info())  # which the bundle replaces
        sys.exit(1)
    finally:
        atexit._run_exitfuncs()


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
