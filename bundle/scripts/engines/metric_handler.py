"""Scores of every target as one ignite metric."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ignite.engine import Engine
from ignite.metrics import Metric
from monai.utils.enums import CommonKeys
from torch import distributed

from ..metrics import MultiTaskMetric

logger = logging.getLogger(__name__)


class MultiTaskScore(Metric):
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
        self._metric = MultiTaskMetric(targets, spacing=spacing)
        super().__init__()

    def reset(self) -> None:
        self._metric.reset()

    def update(self, output: tuple[Mapping[str, Any], Mapping[str, Any]]) -> None:
        self._metric.update(*output)

    def compute(self) -> dict[str, float]:
        """All numbers, over the batches of all processes."""
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
        engine.state.metrics.update({key: value for key, value in values.items() if key != "score"})
        score = values["score"]
        if math.isnan(score):
            logger.warning("%s: no target could be scored, it counts as 0; was any truth known in these data?", name)
            score = 0.0
        engine.state.metrics[name] = score
