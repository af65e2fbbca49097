"""End a training on Ctrl-C or when the system asks for it, so that it can go on."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any

from ignite.engine import Engine, Events

from .events import TrainingEvents
from .stop_agreement import StopAgreement

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedBySignal(SystemExit):
    """A signal has ended the run; the process's status is 128 + its number, as shells have it: 130 or 143.

    Args:
        number: of the signal.
        is_between_steps: whether the state is that after a whole step, so that it may be saved.
    """

    def __init__(self, number: int, is_between_steps: bool) -> None:
        super().__init__(128 + number)
        self.number = number
        self.is_between_steps = is_between_steps

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}"


class StopOnSignal:
    """On SIGINT (Ctrl-C) or SIGTERM finish the batch, let `TrainingEvents.STOPPED` save, and end the process.

    The present batch of training or validation is finished; a loader is not waited for. A second signal ends the
    process at once, and nothing is saved. Signals that the process was told to ignore, as those of a shell's background
    jobs, stay ignored. When the training ends, signals mean what they meant before.

    Where several processes train, `torchrun` hands the signal to each of them, some of them twice. They agree upon the
    batch after which they stop.

    Stand first among the trainer's handlers: what others do when a run fails comes after the saving. Outside a
    process's main thread nothing happens.

    Args:
        evaluator: engine that validates; a signal ends it, too.
    """

    def __init__(self, evaluator: Engine | None = None) -> None:
        self.evaluator = evaluator
        self._caught: int | None = None
        self._is_waiting = False
        self._has_stepped = False
        self._previous: dict[signal.Signals, Any] = {}

    def attach(self, engine: Engine) -> None:
        engine.register_events(*TrainingEvents)
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _start(self, engine: Engine) -> None:
        self._caught, self._is_waiting = None, False
        self._agreement = StopAgreement()
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None, self._note):
                    self._previous[number] = signal.signal(number, self._note)
        if engine.has_event_handler(self._finish):
            return
        # now, so that they come after those of all others
        engine.add_event_handler(Events.COMPLETED, self._finish)
        engine.add_event_handler(Events.EXCEPTION_RAISED, _raise)  # a run with handlers of errors would go on
        for one in (engine, self.evaluator):
            if one is not None and not (self._agreement.is_shared and one is engine):
                one.add_event_handler(Events.GET_BATCH_STARTED, self._wait)
                one.add_event_handler(Events.GET_BATCH_COMPLETED, self._go_on)
                one.add_event_handler(Events.ITERATION_COMPLETED, self._stop_if_asked)
        if self._agreement.is_shared:
            engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._say)
            engine.add_event_handler(TrainingEvents.OPTIMIZER_STEPPED, self._note_step)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._stop_together)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Called between any two instructions: it raises only where the state is whole, or at the second signal."""
        if self._caught is None:
            self._caught = number
            if self._is_waiting:
                self._stop(number)
        elif not self._agreement.is_shared:  # torchrun repeats it
            raise StoppedBySignal(number, is_between_steps=False)

    def _wait(self) -> None:
        self._is_waiting = True
        self._stop_if_asked()

    def _go_on(self) -> None:
        self._is_waiting = False

    def _stop_if_asked(self) -> None:
        if self._caught is not None:
            self._stop(self._caught)

    def _say(self) -> None:
        self._has_stepped = False
        self._agreement.say(self._caught)

    def _note_step(self) -> None:
        self._has_stepped = True

    def _stop_together(self) -> None:
        number = self._agreement.heard()
        if number is not None and self._has_stepped:  # gradients that wait for a step are each process's own
            self._caught = number
            self._stop(number)

    def _stop(self, number: int) -> None:
        self._is_waiting = False
        raise StoppedBySignal(number, is_between_steps=True)

    def _fail(self, engine: Engine, error: BaseException) -> None:
        try:
            if isinstance(error, StoppedBySignal):
                if self._agreement.is_first:
                    logger.info("%s in epoch %d after iteration %d", error, engine.state.epoch, engine.state.iteration)
                if error.is_between_steps:
                    engine.fire_event(TrainingEvents.STOPPED)
                    self._agreement.wait_for_all()
        finally:
            self._restore()

    def _finish(self) -> None:
        self._restore()
        self._stop_if_asked()  # what would come after the training is not wanted either

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


def _raise(engine: Engine, error: BaseException) -> None:
    raise error
