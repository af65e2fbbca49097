"""Every term of a multi-task loss, averaged over the epoch, for the log and the curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys
from torch import distributed

from ..losses import MultiTaskLoss
from .events import on_stop


class LossTerms:
    """Average the terms of a `MultiTaskLoss` over each epoch, and over all processes, into `engine.state.metrics`.

    They are called `train_<term>`. The factors of a balance that changes them stand beside as `factor_<target>`. Of a
    loss without terms, such as one of your own, the loss itself is averaged, as `train_total`.

    Its state goes into a run's checkpoint, so that an epoch that was stopped in its midst has the mean of all of it.

    Args:
        loss: the loss function that the trainer calls.
    """

    def __init__(self, loss: MultiTaskLoss | torch.nn.Module) -> None:
        self.loss = loss
        self._sums: dict[str, torch.Tensor] = {}
        self._count = 0
        self._epoch = 0  # to which the sums belong
        self._is_loaded = False
        self._is_shared = False

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)
        on_stop(engine, self._share)

    def _start(self, engine: Engine) -> None:
        if not (self._is_loaded and engine.state.epoch == self._epoch):  # an epoch that goes on has those it had
            self._sums, self._count, self._epoch = {}, 0, engine.state.epoch
        self._is_loaded = False

    def _add(self, engine: Engine) -> None:
        self._count, self._is_shared = self._count + 1, False
        output: Any = engine.state.output
        terms: Any = getattr(self.loss, "terms", None) or {"total": output[CommonKeys.LOSS].detach()}
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value  # a tensor: a number would make the GPU wait

    def _share(self) -> None:
        """Make the sums those of the average process, once: a validation is not stopped in all processes at once."""
        if not self._is_shared and self._sums and distributed.is_available() and distributed.is_initialized():
            sums = torch.stack(list(self._sums.values()))
            distributed.all_reduce(sums)
            self._sums = dict(zip(self._sums, (sums / distributed.get_world_size()).unbind(), strict=True))
        self._is_shared = True

    def _finish(self, engine: Engine) -> None:
        self._share()
        means = torch.stack(list(self._sums.values())) / self._count
        for name, mean in zip(self._sums, means.tolist(), strict=True):
            engine.state.metrics[f"train_{name}"] = mean
        factors: Any = getattr(self.loss, "factors", {})
        for name, factor in factors.items():
            engine.state.metrics[f"factor_{name}"] = factor

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "count": self._count, "sums": dict(self._sums)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._epoch, self._count, self._sums = state["epoch"], state["count"], dict(state["sums"])
        self._is_loaded = self._is_shared = True
