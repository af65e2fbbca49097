"""Tell those who want to know which epoch begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ignite.engine import Engine, Events


class SetEpoch:
    """Call `set_epoch(epoch)`, counted from 1, before each epoch's first batch is drawn.

    In an epoch that goes on in its midst, `skip(samples)` tells those that have it what was drawn already.

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
        batches = engine.state.iteration % engine.state.epoch_length if engine.state.epoch_length else 0
        if batches:
            samples = batches * (getattr(engine.state.dataloader, "batch_size", None) or 1)
            for one in self.objects:
                if hasattr(one, "skip"):
                    one.skip(samples)
