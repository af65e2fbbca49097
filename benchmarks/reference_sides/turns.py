"""Turns of programs that are compared: each side is a process of its own, which works when it is told to.

Sides run in environments of their own, so nothing is imported here but the standard library.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

Turn = Callable[[bool], dict[str, Any]]
"""One repetition of the work. It is told whether it is the one that is looked at and not timed, and gives its facts."""

_SAMPLED_EVERY = 0.02


def serve(parts: Mapping[str, Callable[..., Turn]]) -> None:
    """What the program of a side does: take a turn for each line that comes in.

    The command line holds the name of the part, a line its settings and whether the turn is looked at, as JSON. An
    answer has `seconds`, unless the turn says itself how long it took, and the processor's; that of one which is looked
    at has `run_mb`.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what packages print is no answer
    prepared: dict[str, Turn] = {}
    for line in sys.stdin:
        words = json.loads(line)
        settings = json.dumps(words["settings"])
        if settings not in prepared:
            prepared = {settings: parts[sys.argv[1]](**words["settings"])}
        memory = PeakMemory()
        if words["is_check"]:
            memory.start()
        begun, used = time.perf_counter(), processor_seconds(os.getpid())
        facts = prepared[settings](words["is_check"])
        answer = {"seconds": time.perf_counter() - begun} | facts
        answer["processor_s"] = processor_seconds(os.getpid()) - used
        if words["is_check"]:
            answer["run_mb"] = memory.stop()
        answers.write(json.dumps(answer) + "\n")


class Side:
    """A program of `serve` that runs beside this one.

    Args:
        python: interpreter of its environment.
        program: its file.
        part: what it does.
        log: file for what it prints.
    """

    def __init__(self, python: Path | str, program: Path, part: str, log: Path) -> None:
        self.log = log
        self._command = [str(python), str(program), part]

    def __enter__(self) -> Side:
        environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}  # threads that wait must not spin
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()  # the end of its input is the end of its work

    def turn(self, settings: Mapping[str, Any], is_check: bool) -> dict[str, Any]:
        """Let it work, and wait.

        Args:
            settings: see `serve`.
            is_check: whether this turn is looked at and not timed.

        Raises:
            RuntimeError: if it has ended instead, with the last line that it printed.
        """
        try:
            print(json.dumps({"settings": settings, "is_check": is_check}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline() if self._process.stdout else ""
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"{' '.join(self._command)} ended: {last_line(self.log.read_text())}")
        return json.loads(line)


def last_line(text: str) -> str:
    """The last line of a text that is not empty, which is where Python says what the error was."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")


def alternate(
    sides: Sequence[tuple[Side, Mapping[str, Any]]], rounds: int
) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Turns of all sides: one that is looked at and warms up, then some that are timed, side after side in each round.

    Args:
        sides: with the settings of each.
        rounds: timed turns of each.

    Returns:
        per side, what its first turn answered, and what its timed ones did.
    """
    first = [side.turn(settings, True) for side, settings in sides]
    timed = [[side.turn(settings, False) for side, settings in sides] for _ in range(rounds)]
    return [(one, list(turns)) for one, turns in zip(first, zip(*timed, strict=True), strict=True)]


class PeakMemory:
    """Most memory that this process and those that it started hold, MB, above what it held at the start.

    Pages that several processes share count once in all.
    """

    def __init__(self) -> None:
        self._before = self._most = 0.0
        self._is_over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def start(self) -> None:
        self._before = self._most = _memory_mb(os.getpid())
        self._watch.start()

    def stop(self) -> float:
        self._is_over.set()
        self._watch.join()
        return self._most - self._before

    def _look(self) -> None:
        while not self._is_over.wait(_SAMPLED_EVERY):
            self._most = max(self._most, _memory_mb(os.getpid()))


def processor_seconds(process: int) -> float:
    """Time that processors worked for a process and its descendants, those that have ended included."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        children = _children(process)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    own = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")  # user and system, then those of ended children
    return own + sum(map(processor_seconds, children))


def _children(process: int) -> set[int]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    return {int(child) for task in tasks for child in (task / "children").read_text().split()}


def _memory_mb(process: int) -> float:
    """Memory of a process and its descendants, MB; 0 for one that has ended."""
    try:
        shares = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        children = _children(process)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0.0
    own = next((int(line.split()[1]) for line in shares if line.startswith("Pss:")), 0) * 1024 / 1e6
    return own + sum(map(_memory_mb, children))
