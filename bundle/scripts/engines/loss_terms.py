"""Every term of a multi-task loss, averaged over the epoch, for the log and the curves."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys
from torch import distributed

from ..losses import MultiTaskLoss


class LossTerms:
    """Average the terms of a `MultiTaskLoss` over each epoch, and over all processes, into `engine.state.metrics`.

    They are called `train_<term>`. The factors of a balance that changes them stand beside as `factor_<target>`. Of a
    loss without terms, such as one of your own, the loss itself is averaged, as `train_total`.

    Args:
        loss: the loss function that the trainer calls.
    """

    def __init__(self, loss: MultiTaskLoss | torch.nn.Module) -> None:
        self.loss = loss
        self._sums: dict[str, torch.Tensor] = {}
        self._count = 0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def _start(self) -> None:
        self._sums, self._count = {}, 0

    def _add(self, engine: Engine) -> None:
        self._count += 1
        output: Any = engine.state.output
        terms: Any = getattr(self.loss, "terms", None) or {"total": output[CommonKeys.LOSS].detach()}
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value  # a tensor: a number would make the GPU wait

    def _finish(self, engine: Engine) -> None:
        means = torch.stack(list(self._sums.values())) / self._count
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(means)
            means /= distributed.get_world_size()
        for name, mean in zip(self._sums, means.tolist(), strict=True):
            engine.state.metrics[f"train_{name}"] = mean
        factors: Any = getattr(self.loss, "factors", {})
        for name, factor in factors.items():
            engine.state.metrics[f"factor_{name}"] = factor
