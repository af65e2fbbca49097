"""How well a network finds points again in another view, as one ignite metric."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from monai.utils.enums import CommonKeys
from torch import distributed

from ..losses import sample_views
from ..metrics import PointMatching

logger = logging.getLogger(__name__)


class PointMatchingScore(Metric):
    """Key metric of a training on two views: the share of points that are found again, from 0 (bad) to 1.

    Attached under a name, it puts that share into `engine.state.metrics` under the name, and the mean cosine between a
    point's two vectors as `<output>_positive_cosine` beside it. Where several processes each score a part of the data,
    all of them get the numbers of the whole. Without any point the share counts as 0: no score is greater than NaN.

    Args:
        output: of the network, whose vectors are compared; `embedding` is what stays after the training.
    """

    def __init__(self, output: str = "embedding") -> None:
        self.output = output
        self._metric = PointMatching()
        super().__init__()

    def reset(self) -> None:
        self._metric.reset()

    @torch.no_grad()
    def update(self, output: tuple[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]]) -> None:
        first, second, present = sample_views(*output, self.output)
        hidden = ~present.unsqueeze(2)
        self._metric.update(first.masked_fill(hidden, torch.nan), second)

    def compute(self) -> dict[str, float]:
        """Both numbers, over the batches of all processes."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return self._metric.compute()
        of_ranks: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(of_ranks, self._metric)
        merged = of_ranks[0]
        for other in of_ranks[1:]:
            merged.merge(other)
        return merged.compute()

    def iteration_completed(self, engine: Engine) -> None:
        output: Any = engine.state.output
        self.update((output[CommonKeys.PRED], output[CommonKeys.LABEL]))

    def completed(self, engine: Engine, name: str) -> None:
        values = self.compute()
        score = values["point_matching"]
        engine.state.metrics[f"{self.output}_positive_cosine"] = values["positive_cosine"]
        if math.isnan(score):
            logger.warning("%s: no point was in both views, it counts as 0", name)
            score = 0.0
        engine.state.metrics[name] = score
