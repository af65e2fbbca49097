"""What a run is, how far it has come, and whether it is alive, in a file that others read while it runs."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from ..viewers.dashboard_files import as_json, read_json, replace_text
from .machine import machine_facts
from .optional_file import OptionalFile
from .stop_on_signal import StoppedBySignal

_FACTS = ("format", "started", "host", "pid", "settings", "plan", "parameters", "machine")


def begin_record(
    path: str | Path, settings: Mapping[str, Any], plan: Mapping[str, Any] | None, parameters: int
) -> None:
    """Write the record of a training that is about to begin; a `RunRecord` keeps it up to date.

    Args:
        path: the file.
        settings: the resolved settings; what JSON does not know is written as text.
        plan: of the network, where it has one.
        parameters: their number.
    """
    facts = _process_facts() | {"settings": settings, "plan": plan, "parameters": parameters}
    replace_text(Path(path), as_json(facts | {"state": "running", "phase": "start", "seen": time.time()}))


class RunRecord:
    """Keep `run.json` up to date: what `begin_record` wrote, progress and state.

    The state is `running`, `finished`, `stopped` by a signal, or `failed`, the latter with the error. A run that is
    killed stays `running`: its process number and the time of the last sign of life, which every epoch and every
    `interval` seconds renew, tell.

    Attach it to the trainer before handlers that raise on errors.

    Args:
        path: the file, replaced as a whole.
        evaluator: engine that validates; it gives signs of life, too.
        interval: seconds between two writes, at least.
    """

    def __init__(self, path: str | Path, evaluator: Engine | None = None, interval: float = 5.0) -> None:
        self.path = Path(path)
        self.evaluator = evaluator
        self.interval = interval
        self._facts = "{}"
        self._state: dict[str, Any] = {}
        self._written = self._started = 0.0
        self._first_iteration = 0
        self._file = OptionalFile()

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._go_on, "training")
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._progress, "training")
        engine.add_event_handler(Events.COMPLETED, self._finish)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._note_failure)
        if self.evaluator is not None:
            self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._validate, engine)

    def _start(self, engine: Engine) -> None:
        begun, process = read_json(self.path.parent, self.path.name) or {}, _process_facts()
        if any(begun.get(key) != process[key] for key in ("host", "pid")):
            begun = process  # a file of another training
        # as text: a thousand volumes would take their time at every write
        self._facts = as_json({key: begun[key] for key in _FACTS if key in begun})
        self._started, self._first_iteration = time.monotonic(), engine.state.iteration
        engine.add_event_handler(Events.EXCEPTION_RAISED, _raise)  # after those of others; none at all would lose it
        self._progress(engine, "training")

    def _go_on(self, engine: Engine, phase: str) -> None:
        if time.monotonic() - self._written >= self.interval:
            self._progress(engine, phase)

    def _validate(self, evaluator: Engine, trainer: Engine) -> None:
        self._go_on(trainer, "validation")

    def _progress(self, engine: Engine, phase: str) -> None:
        state = engine.state
        done = state.iteration - self._first_iteration
        passed = time.monotonic() - self._started
        each = passed / done if done else None
        total = (state.max_epochs or 0) * (state.epoch_length or 0)
        self._state = {
            "state": "running",
            "phase": phase,
            "epoch": state.epoch,
            "max_epochs": state.max_epochs,
            "iteration": state.iteration,
            "epoch_length": state.epoch_length,
            "seconds_per_iteration": each,
            "seconds_left": each * max(total - state.iteration, 0) if each and total else None,
        }
        self._write()

    def _finish(self, engine: Engine) -> None:
        self._progress(engine, "end")
        self._state |= {"state": "finished", "seconds_left": 0.0}
        self._write()

    def _note_failure(self, engine: Engine, error: BaseException) -> None:
        if self._state["state"] == "finished":  # what follows the training has no record
            return
        self._progress(engine, self._state["phase"])
        if isinstance(error, StoppedBySignal):
            self._state |= {"state": "stopped", "seconds_left": None}
        else:
            said = f"{type(error).__name__}: {error}"
            self._state |= {"state": "failed", "error": said, "seconds_left": None}
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        state = as_json(self._state | {"seen": time.time()})
        with self._file.written(self.path):
            replace_text(self.path, f"{self._facts[:-1]},{state[1:]}")


def _process_facts() -> dict[str, Any]:
    return {
        "format": 1,
        "started": time.time(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "machine": machine_facts(),
    }


def _raise(engine: Engine, error: BaseException) -> None:
    raise error
