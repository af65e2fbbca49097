"""Tell those who want to know which epoch begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ignite.engine import Engine, Events


class SetEpoch:
    """Call `set_epoch(epoch)`, counted from 1, before each epoch's first batch is drawn.

    Args:
        objects: samplers, losses and others; those without `set_epoch`, such as a loss of one's own, are left alone.
    """

    def __init__(self, objects: Sequence[Any]) -> None:
        self.objects = [one for one in objects if hasattr(one, "set_epoch")]

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        for one in self.objects:
            one.set_epoch(engine.state.epoch)
