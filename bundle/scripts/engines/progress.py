"""A progress bar where someone watches, and a line now and then where a log is written."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys
from tqdm import tqdm

from .step_output import StepOutput

logger = logging.getLogger(__name__)


class Progress:
    """Show iterations, loss, loss terms and remaining time of each epoch, and of the whole run.

    Args:
        name: what is running, such as "train".
        interval: seconds between two lines where standard error is no terminal.
    """

    def __init__(self, name: str, interval: float = 15.0) -> None:
        self.name = name
        self.interval = interval
        self._bar: tqdm | None = None
        self._last = 0.0
        self._run_started = 0.0
        self._first_of_run = 0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._start_run)
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _start_run(self, engine: Engine) -> None:
        self._run_started, self._first_of_run = time.monotonic(), engine.state.iteration

    def _start(self, engine: Engine) -> None:
        self._last = time.monotonic()
        self._first_iteration, self._started = engine.state.iteration, self._last
        length = engine.state.epoch_length
        self._before = engine.state.iteration % length if length else 0  # of an epoch that goes on in its midst
        title = f"{self.name} {engine.state.epoch}/{engine.state.max_epochs}"
        if sys.stderr.isatty():
            self._bar = tqdm(total=length, initial=self._before, desc=title, leave=False)

    def _step(self, engine: Engine) -> None:
        if self._bar is not None:
            self._bar.update()
            self._bar.set_postfix_str(_losses(engine))
        elif time.monotonic() - self._last >= self.interval:
            self._last = time.monotonic()
            done = engine.state.iteration - self._first_iteration
            rate = (self._last - self._started) / max(done, 1)
            done += self._before
            remaining = rate * ((engine.state.epoch_length or done) - done)
            losses = _losses(engine)
            logger.info(
                "%s %s/%s: %d/%s, %.2f s each, %s left%s",
                *(self.name, engine.state.epoch, engine.state.max_epochs),
                *(done, engine.state.epoch_length, rate, duration(remaining), f", {losses}" if losses else ""),
            )

    def _finish(self, engine: Engine) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in sorted(engine.state.metrics.items()))
        epoch, last = engine.state.epoch, engine.state.max_epochs
        left = ""
        done = engine.state.iteration - self._first_of_run
        if last is not None and epoch < last and done > 0:
            rate = (time.monotonic() - self._run_started) / done
            left = f" ({duration(rate * (last - epoch) * (engine.state.epoch_length or 0))} left in all)"
        logger.info("%s %s/%s: %s%s", self.name, epoch, last, metrics or "done", left)

    def _fail(self, engine: Engine, error: BaseException) -> None:
        if self._bar is not None:
            self._bar.close()
        raise error


def duration(seconds: float) -> str:
    """A time as a person says it: `42 s`, `3 min 20 s`, `5 h 12 min`, `2 d 4 h`."""
    rest = round(seconds)
    for size, unit, smaller, smaller_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if rest >= size:
            return f"{rest // size} {unit} {rest % size // smaller} {smaller_unit}"
    return f"{rest} s"


def _losses(engine: Engine) -> str:
    """The total and, where there are several, the terms of the batch."""
    output: Any = engine.state.output
    if not isinstance(output, (dict, StepOutput)) or CommonKeys.LOSS not in output:
        return ""
    terms = dict(getattr(getattr(engine, "loss_function", None), "terms", {}))
    terms.pop("total", None)
    shown = f"loss {output[CommonKeys.LOSS].item():.4f}"
    return shown + (f" ({', '.join(f'{name} {float(v):.4f}' for name, v in terms.items())})" if len(terms) > 1 else "")
