"""What the first batch looks like, said once."""

from __future__ import annotations

import logging
from typing import Any

import torch
from ignite.engine import Engine, Events

logger = logging.getLogger(__name__)


class FirstBatch:
    """Log shape, dtype, minimum and maximum of every key of the first batch of a run, whether new or resumed."""

    def __init__(self) -> None:
        self._is_said = False

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._start)
        # not with `once=1`, which counts iterations: a batch comes before its iteration, and a resumed run has others
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._say)

    def _start(self) -> None:
        self._is_said = False

    def _say(self, engine: Engine) -> None:
        if self._is_said:
            return
        self._is_said = True
        batch: Any = engine.state.batch
        lines = [describe(key, value) for key, value in batch.items() if isinstance(value, torch.Tensor)]
        logger.info("first batch:\n%s", "\n".join(lines))


def describe(key: str, tensor: torch.Tensor) -> str:
    """One line on a tensor: `image  2 1 64 64 64  float32  min -2.1  max 4.3`; NaN voxels are counted, not compared."""
    values = tensor.detach().as_subclass(torch.Tensor)
    known = values[~values.isnan()] if values.is_floating_point() else values
    low, high = (f"{known.min().item():.4g}", f"{known.max().item():.4g}") if known.numel() else ("-", "-")
    unknown = values.numel() - known.numel()
    shape, dtype = " ".join(map(str, values.shape)), str(values.dtype).removeprefix("torch.")
    return f"  {key:<12} {shape:<18} {dtype:<8} min {low}  max {high}" + (f"  NaN {unknown}" if unknown else "")
