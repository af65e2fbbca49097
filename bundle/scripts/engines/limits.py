"""When to stop: a validation that takes too long, a training that no longer gets better."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from ignite.engine import Engine, Events
from ignite.handlers import EarlyStopping

logger = logging.getLogger(__name__)


class TimeLimit:
    """End an engine's epoch after the batch in which a time has passed; at least one batch is done.

    Args:
        seconds: the limit; `None`: none.

    Raises:
        ValueError: for a limit that is not positive.
    """

    def __init__(self, seconds: float | None) -> None:
        if seconds is not None and not seconds > 0:
            raise ValueError(f"seconds must be a positive number, or null for no limit; got {seconds!r}")
        self.seconds = seconds
        self._started = 0.0

    def attach(self, engine: Engine) -> None:
        if self.seconds is not None:
            engine.add_event_handler(Events.EPOCH_STARTED, self._start)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._check)

    def _start(self) -> None:
        self._started = time.monotonic()

    def _check(self, engine: Engine) -> None:
        length = engine.state.epoch_length
        done = engine.state.iteration - (engine.state.epoch - 1) * (length or 0)
        if time.monotonic() - self._started >= (self.seconds or 0) and done != length:
            logger.info("stopped after %s of %s batches: the limit is %s s", done, length or "all", self.seconds)
            engine.terminate_epoch()


class EarlyStop:
    """End the training when the evaluator's key metric has not improved for some validations.

    Args:
        trainer: what is ended.
        patience: validations without a better score before the end.
        min_delta: a score must be better by more than this.

    Raises:
        ValueError: for a patience below 1.
    """

    def __init__(self, trainer: Engine, patience: int, min_delta: float = 0.0) -> None:
        self.patience = patience
        self._stopping = EarlyStopping(patience, _score, trainer, threshold=min_delta, cumulative=True)

    def attach(self, engine: Engine) -> None:
        """Watch an evaluator."""
        engine.add_event_handler(Events.COMPLETED, self._stopping)

    def state_dict(self) -> dict[str, Any]:
        return dict(self._stopping.state_dict())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._stopping.load_state_dict(state)


def _score(engine: Engine) -> float:
    state: Any = engine.state
    return float(state.metrics[state.key_metric_name])
