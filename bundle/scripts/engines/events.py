"""The events that MONAI's trainers lack: the weights have changed, the run is stopped from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ignite.engine import Engine
from ignite.engine.events import EventEnum


class TrainingEvents(EventEnum):
    """`TrainingStep` fires the first besides MONAI's `IterationEvents`, `StopOnSignal` the second."""

    OPTIMIZER_STEPPED = "optimizer_stepped"
    STOPPED = "stopped"


def on_optimizer_step(engine: Engine, handler: Callable[..., Any]) -> None:
    """Call a handler whenever the optimiser has changed the weights, which is not after each batch."""
    engine.register_events(*TrainingEvents)
    engine.add_event_handler(TrainingEvents.OPTIMIZER_STEPPED, handler)


def on_stop(engine: Engine, handler: Callable[..., Any]) -> None:
    """Call a handler when a signal has stopped the run between two steps, for what must not be lost."""
    engine.register_events(*TrainingEvents)
    engine.add_event_handler(TrainingEvents.STOPPED, handler)
