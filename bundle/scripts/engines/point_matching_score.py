"""How well a network finds points again in another view, as one ignite metric."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import torch
from ignite.engine import Engine

from ..losses import sample_views
from ..metrics import PointMatching
from .gathered_metric import GatheredMetric

logger = logging.getLogger(__name__)


class PointMatchingScore(GatheredMetric):
    """Key metric of a training on two views: the share of points that are found again, from 0 (bad) to 1.

    Attached under a name, it puts that share into `engine.state.metrics` under the name, and the mean cosine between a
    point's two vectors as `<output>_positive_cosine` beside it. Where several processes each score a part of the data,
    all of them get the numbers of the whole. Without any point the share counts as 0: no score is greater than NaN.

    Args:
        output: of the network, whose vectors are compared; `embedding` is what stays after the training.
    """

    def __init__(self, output: str = "embedding") -> None:
        self.output = output
        super().__init__(PointMatching())

    @torch.no_grad()
    def update(self, output: tuple[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]]) -> None:
        first, second, present = sample_views(*output, self.output)
        hidden = ~present.unsqueeze(2)
        self._metric.update(first.masked_fill(hidden, torch.nan), second)

    def completed(self, engine: Engine, name: str) -> None:
        values = self.compute()
        score = values["point_matching"]
        engine.state.metrics[f"{self.output}_positive_cosine"] = values["positive_cosine"]
        if math.isnan(score):
            logger.warning("%s: no point was in both views, it counts as 0", name)
            score = 0.0
        engine.state.metrics[name] = score
