"""The event that MONAI's trainers lack: the weights have changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ignite.engine import Engine
from ignite.engine.events import EventEnum


class TrainingEvents(EventEnum):
    """Events that `TrainingStep` fires besides MONAI's `IterationEvents`."""

    OPTIMIZER_STEPPED = "optimizer_stepped"


def on_optimizer_step(engine: Engine, handler: Callable[..., Any]) -> None:
    """Call a handler whenever the optimiser has changed the weights, which is not after each batch."""
    engine.register_events(*TrainingEvents)
    engine.add_event_handler(TrainingEvents.OPTIMIZER_STEPPED, handler)
