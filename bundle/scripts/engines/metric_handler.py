"""Scores of every target as one ignite metric."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ignite.engine import Engine

from ..metrics import MultiTaskMetric
from .gathered_metric import GatheredMetric

logger = logging.getLogger(__name__)


class MultiTaskScore(GatheredMetric):
    """Key metric of training and evaluation: the weighted mean over the targets' scores, from 0 (bad) to 1.

    Attached under a name, it puts that mean into `engine.state.metrics` under the name, and every single metric as
    `<target>_<metric>` beside it (see `scripts.metrics.MultiTaskMetric`). Where several processes each score a part of
    the data, all of them get the numbers of the whole.

    Where nothing was known, the mean is NaN and 0 takes its place: no later score is greater than NaN, so that the best
    model would never be replaced.

    Args:
        targets: the `targets` table.
        spacing: physical size of a voxel along z, y, x, for distances.
    """

    def __init__(self, targets: Mapping[str, Any], spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> None:
        super().__init__(MultiTaskMetric(targets, spacing=spacing))

    def completed(self, engine: Engine, name: str) -> None:
        values = self.compute()
        engine.state.metrics.update({key: value for key, value in values.items() if key != "score"})
        score = values["score"]
        if math.isnan(score):
            logger.warning("%s: no target could be scored, it counts as 0; was any truth known in these data?", name)
            score = 0.0
        engine.state.metrics[name] = score
