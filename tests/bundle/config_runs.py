"""Runs of a config in this process, as `python -m monai.bundle run` makes them, and what a person sees of them."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from monai.bundle import ComponentLocator, ConfigWorkflow
from monai.utils import set_determinism
from tests.bundle.running import BUNDLE

from scripts.workflows.faults import find_cause, plain_message

LINES, COLUMNS = 24, 200
"""One screen."""

_ROOM = 4 * 2**30
"""Bytes beyond what is held: a size that is absurd must be refused before memory is asked for."""


@dataclass(frozen=True)
class Outcome:
    """What became of a config.

    Args:
        stage: "ran", "passed" (the check; it was not run), "stopped" (it was still running when its time was over),
            "refused" (before it ran), "failed" (while it ran).
        message: what the command line shows; `None`: a traceback.
        error: what was raised.
        left: files under the folder of outputs.
    """

    stage: str
    message: str | None = None
    error: BaseException | None = None
    left: tuple[str, ...] = ()

    def lines(self) -> int:
        """Lines on a screen."""
        return sum(-(-max(1, len(line)) // COLUMNS) for line in (self.message or "").splitlines())


def run_config(config: dict[str, Any], root: Path, *, only_check: bool = False, seconds: int = 20) -> Outcome:
    """Check a config and run it.

    Args:
        config: all of it.
        root: folder of its own, which holds its outputs as `running.folders` names them.
        only_check: not to run it.
        seconds: of the processor's time, after which it is stopped.
    """
    root.mkdir(parents=True, exist_ok=True)
    file = root / "config.json"
    file.write_text(json.dumps(config))
    stage = "refused"
    try:
        with _contained(root, seconds):
            workflow = ConfigWorkflow(
                str(file), str(BUNDLE / "configs" / "metadata.json"), logging_file=False, workflow_type=None
            )
            workflow.initialize()
            stage = "failed"
            if only_check:
                return Outcome("passed")
            workflow.run()
            workflow.finalize()
        return Outcome("ran")
    except Exception as error:
        if stage == "failed" and find_cause(error, TooLong) is not None:
            stage = "stopped"
        return Outcome(stage, plain_message(error), error, _files(root))


def _files(root: Path) -> tuple[str, ...]:
    return tuple(
        str(path.relative_to(root)) for path in sorted(root.rglob("*")) if path.is_file() and path.name != "config.json"
    )


@contextmanager
def _contained(root: Path, seconds: int) -> Iterator[None]:
    """A run that neither changes this process nor takes all of its time and memory."""
    table = _components()
    before = Path.cwd(), list(sys.path), sys.excepthook, resource.getrlimit(resource.RLIMIT_AS)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (held + _ROOM, before[3][1]))
    previous = signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, seconds)  # a busy machine is no reason to give up
    os.chdir(root)
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            mock.patch.object(ComponentLocator, "_find_classes_or_functions", return_value=table),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)
        logging.disable(logging.NOTSET)
        os.chdir(before[0])
        sys.path[:], sys.excepthook = before[1], before[2]
        resource.setrlimit(resource.RLIMIT_AS, before[3])
        set_determinism(None)


class TooLong(Exception):
    """A run was not done in its time."""


def _too_long(*_: Any) -> None:
    raise TooLong("the run was not done in its time")


_table: dict[str, list[str]] = {}


def _components() -> dict[str, list[str]]:
    """MONAI's classes by name, looked for once: it takes longer than a run."""
    if not _table:
        locator = ComponentLocator()
        locator.get_component_module_name("Compose")
        _table.update(locator._components_table or {})
    return _table
