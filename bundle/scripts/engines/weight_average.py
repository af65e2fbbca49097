"""A slowly moving average of the weights, which often predicts better than the last step's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine
from torch.optim.swa_utils import AveragedModel

from .events import on_optimizer_step


class WeightAverage:
    """Exponential moving average of a network's weights and buffers, updated after each step of the optimiser.

    The average of the first n steps decays by at most (1 + n) / (10 + n), so that it soon forgets the random start.

    Source: Polyak and Juditsky 1992; the start as in TensorFlow's `ExponentialMovingAverage`.

    Args:
        network: what is trained.
        decay: share of the average that each step keeps, 0 to below 1.

    Raises:
        ValueError: for a decay out of range.
    """

    def __init__(self, network: torch.nn.Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be at least 0 and below 1, got {decay!r}")
        self.source = network
        self.decay = decay
        self._average = AveragedModel(network, multi_avg_fn=self._mix, use_buffers=True)

    @property
    def network(self) -> torch.nn.Module:
        """A network of its own with the averaged weights."""
        return self._average.module

    def attach(self, engine: Engine) -> None:
        on_optimizer_step(engine, self.update)

    def update(self) -> None:
        """Move the average towards the present weights."""
        self._average.update_parameters(self.source)

    @torch.no_grad()
    def _mix(self, averages: Any, current: Any, n_averaged: torch.Tensor | int) -> None:
        n = int(n_averaged)
        share = 1 - min(self.decay, (1 + n) / (10 + n))
        for average, value in zip(averages, current, strict=True):
            if average.is_floating_point():
                average.lerp_(value.to(average.dtype), share)
            else:
                average.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        return self._average.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._average.load_state_dict(dict(state))
