"""A progress bar where someone watches, and a line now and then where a log is written."""

from __future__ import annotations

import logging
import sys
import time

from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys
from tqdm import tqdm

logger = logging.getLogger(__name__)


class Progress:
    """Show iterations, loss and remaining time of each epoch.

    Args:
        name: what is running, such as "train".
        interval: seconds between two lines where standard error is no terminal.
    """

    def __init__(self, name: str, interval: float = 15.0) -> None:
        self.name = name
        self.interval = interval
        self._bar: tqdm | None = None
        self._last = 0.0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _start(self, engine: Engine) -> None:
        self._last = time.monotonic()
        self._first_iteration, self._started = engine.state.iteration, self._last
        title = f"{self.name} {engine.state.epoch}/{engine.state.max_epochs}"
        if sys.stderr.isatty():
            self._bar = tqdm(total=engine.state.epoch_length, desc=title, leave=False)

    def _step(self, engine: Engine) -> None:
        loss = self._loss(engine)
        if self._bar is not None:
            self._bar.update()
            self._bar.set_postfix_str(loss)
        elif time.monotonic() - self._last >= self.interval:
            self._last = time.monotonic()
            done = engine.state.iteration - self._first_iteration
            rate = (self._last - self._started) / max(done, 1)
            remaining = rate * ((engine.state.epoch_length or done) - done)
            logger.info(
                "%s %s/%s: %d/%s, %.2f s each, %.0f s left%s",
                *(self.name, engine.state.epoch, engine.state.max_epochs),
                *(done, engine.state.epoch_length, rate, remaining, f", {loss}" if loss else ""),
            )

    def _finish(self, engine: Engine) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in sorted(engine.state.metrics.items()))
        logger.info("%s %s/%s: %s", self.name, engine.state.epoch, engine.state.max_epochs, metrics or "done")

    def _fail(self, engine: Engine, error: BaseException) -> None:
        if self._bar is not None:
            self._bar.close()
        raise error

    @staticmethod
    def _loss(engine: Engine) -> str:
        output = engine.state.output
        return (
            f"loss {output[CommonKeys.LOSS].item():.4f}"
            if isinstance(output, dict) and CommonKeys.LOSS in output
            else ""
        )
