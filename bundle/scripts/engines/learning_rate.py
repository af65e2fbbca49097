"""The learning rate's schedule, stepped when its kind wants it."""

from __future__ import annotations

import warnings
from typing import Any

from ignite.engine import Engine, Events
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from .events import on_optimizer_step


class LearningRate:
    """Step a PyTorch schedule and put the rate of each epoch's end into `engine.state.metrics["learning_rate"]`.

    `OneCycleLR` and `CyclicLR` are stepped after each step of the optimiser, `ReduceLROnPlateau` after each validation
    by its key metric, every other schedule after each epoch.

    Attach it after the handler that validates: a run that is stopped in a validation repeats it, not the step.

    Args:
        lr_scheduler: the schedule.
        evaluator: engine whose key metric a plateau is measured in.

    Raises:
        ValueError: for a plateau without evaluator, or one that waits for the score to fall.
    """

    def __init__(self, lr_scheduler: LRScheduler, evaluator: Engine | None = None) -> None:
        if isinstance(lr_scheduler, ReduceLROnPlateau):
            if evaluator is None:
                raise ValueError("ReduceLROnPlateau needs the evaluator whose key metric it follows")
            if lr_scheduler.mode != "max":
                raise ValueError(
                    f"the validation's key metric is better when greater: ReduceLROnPlateau needs mode = 'max', "
                    f"got {lr_scheduler.mode!r}"
                )
        self.lr_scheduler = lr_scheduler
        self.evaluator = evaluator

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._note)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._note)  # what says an epoch's numbers comes earlier
        if isinstance(self.lr_scheduler, ReduceLROnPlateau):
            if self.evaluator is not None:
                self.evaluator.add_event_handler(Events.COMPLETED, self._step_by_score)
        elif isinstance(self.lr_scheduler, (OneCycleLR, CyclicLR)):
            on_optimizer_step(engine, self._step)
        else:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._step)

    def _note(self, engine: Engine) -> None:
        engine.state.metrics["learning_rate"] = float(self.lr_scheduler.optimizer.param_groups[0]["lr"])

    def _step(self) -> None:
        with warnings.catch_warnings():
            # the optimiser has stepped, though perhaps in the process before, which was stopped in the validation
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
            self.lr_scheduler.step()

    def _step_by_score(self, engine: Engine) -> None:
        state: Any = engine.state
        self.lr_scheduler.step(state.metrics[state.key_metric_name])
