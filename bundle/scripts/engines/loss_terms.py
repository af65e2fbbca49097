"""Every term of a multi-task loss, averaged over the epoch, for the log and the curves."""

from __future__ import annotations

from ignite.engine import Engine, Events

from ..losses import MultiTaskLoss


class LossTerms:
    """Average the terms of a `MultiTaskLoss` over each epoch into `engine.state.metrics` as `train_<term>`.

    Args:
        loss: the loss function that the trainer calls.
    """

    def __init__(self, loss: MultiTaskLoss) -> None:
        self.loss = loss
        self._sums: dict[str, float] = {}
        self._count = 0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def _start(self) -> None:
        self._sums, self._count = {}, 0

    def _add(self) -> None:
        self._count += 1
        for name, value in self.loss.terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value)

    def _finish(self, engine: Engine) -> None:
        for name, total in self._sums.items():
            engine.state.metrics[f"train_{name}"] = total / self._count
