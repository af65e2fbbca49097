"""The best weights so far, what "best" means after a resume, and the last ones where nothing was ever scored."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from .checkpoint_file import write_atomically

logger = logging.getLogger(__name__)


class BestModel:
    """Write the bare weights whenever the evaluator's key metric is better than ever before.

    MONAI's `CheckpointSaver` does the same, but forgets the best score when a run is resumed, and then replaces the
    best model by whatever comes first. This one has a state that the run's checkpoint carries.

    Args:
        network: whose weights are written.
        path: the file; it is replaced as a whole, never half-written.
        writes: false in all but the first of several processes, which only follow the score.
    """

    def __init__(self, network: torch.nn.Module, path: str | Path, writes: bool = True) -> None:
        self.network = network
        self.writes = writes
        self.path = Path(path)
        self.score = float("-inf")

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        name = engine.state.key_metric_name  # type: ignore[attr-defined]
        score = float(engine.state.metrics[name])
        if score <= self.score:
            return
        self.score = score
        if not self.writes:
            return
        write_atomically(self.network.state_dict(), self.path)
        logger.info("best %s so far, %.4f: %s", name, score, self.path)

    def follow(self, trainer: Engine) -> None:
        """Write the last weights at the end of a training in which nothing was ever scored."""
        trainer.add_event_handler(Events.COMPLETED, self._write_last)

    def _write_last(self) -> None:
        if self.score == float("-inf") and self.writes:
            write_atomically(self.network.state_dict(), self.path)
            logger.warning("no validation has scored this training: %s holds its last weights, not its best", self.path)

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.score}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.score = float(state["score"])
