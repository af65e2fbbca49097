"""Doing the runs of a sweep: in this process one after the other, or by Dask's workers side by side."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...blockwise import Call, DaskWorkers, Threads
from .run import LOG, Run

logger = logging.getLogger(__name__)

Runner = Callable[[Sequence[str], Path], None]
"""Does `python -m ...` of some arguments, and writes what it says to a file; raises where it fails."""

_BUNDLE = Path(__file__).parents[3]
_SHOWN_LINES = 15


def run_command(arguments: Sequence[str], log: Path) -> None:
    """Run `python -m ...` in the folder of the bundle.

    Args:
        arguments: those after `-m`.
        log: file that what the command says is appended to.

    Raises:
        RuntimeError: with the last lines, where the status is not 0.
    """
    with log.open("a") as file:
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=_BUNDLE, stdout=file, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode:
        lines = log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:]
        raise RuntimeError(f"ended with {done.returncode}; {log} ends with:\n" + "\n".join(lines))


@dataclass
class SweepJob:
    """Runs as parts of a job.

    Args:
        runs: all that are to be done.
        runner: does a command.
    """

    runs: Sequence[Run]
    runner: Runner = run_command

    def prepared(self, worker: int = 0) -> contextlib.AbstractContextManager[None]:
        """Nothing needs to be prepared."""
        return contextlib.nullcontext()

    def execute(self, part: tuple[int, ...]) -> tuple[int, str]:
        """Do a run; returns its number, and what went wrong."""
        run = self.runs[part[0]]
        try:
            run.write()
            if run.training is None or not run.training.is_complete():
                for command in run.commands:
                    self.runner(command, Path(run.folder) / LOG)
            if run.training is not None:
                run.training.write_weights()
            run.mark_done()
        except Exception as error:  # one run must not end the others
            return part[0], f"{type(error).__name__}: {error}"
        return part[0], ""


def do_runs(
    runs: Sequence[Run], workers: Threads | DaskWorkers, runner: Runner = run_command
) -> tuple[list[str], Mapping[str, str]]:
    """Do runs as soon as those that they need are done; a failure stops none but those that need it.

    Args:
        runs: in an order in which they can be done; needs outside the list count as done.
        workers: who does them.
        runner: does a command.

    Returns:
        names of the runs that were done, and of those that were not, with what went wrong.
    """
    numbers = {run.name: n for n, run in enumerate(runs)}
    waiting = {run.name: {need for need in run.needs if need in numbers} for run in runs}
    done: list[str] = []
    failed: dict[str, str] = {}

    def next_calls() -> list[Call]:
        calls: list[Call] = []
        for name, needs in list(waiting.items()):
            if lost := [need for need in needs if need in failed]:
                failed[name] = f"it needs {lost[0]}"
                del waiting[name]
            elif needs <= set(done):
                calls.append(("execute", (numbers[name],)))
                del waiting[name]
                logger.info("%s", name)
        return calls

    def follow(call: Call, result: Any) -> list[Call]:
        number, fault = result
        name = runs[number].name
        if fault:
            failed[name] = fault
            logger.error("%s failed: %s", name, fault)
        else:
            done.append(name)
        return next_calls()

    with workers.pool() as pool:
        for _ in pool.map(SweepJob(runs, runner), next_calls(), follow):
            pass
    return done, failed
