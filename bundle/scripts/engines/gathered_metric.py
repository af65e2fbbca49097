"""A metric of this bundle as an ignite metric: over the batches of all processes."""

from __future__ import annotations

from typing import Any, Protocol, Self

from ignite.engine import Engine
from ignite.metrics import Metric
from monai.utils.enums import CommonKeys
from torch import distributed


class Mergeable(Protocol):
    """What keeps sums over batches, and adds those of another one."""

    def reset(self) -> None: ...

    def merge(self, other: Self) -> None: ...

    def compute(self) -> dict[str, float]: ...


class GatheredMetric(Metric):
    """Feeds a metric with predictions and labels of every iteration.

    Where several processes each see a part of the data, all of them get the numbers of the whole.

    Args:
        metric: has `update(predictions, labels)`, unless `update` of this class is another one.
    """

    def __init__(self, metric: Mergeable) -> None:
        self._metric: Any = metric
        super().__init__()

    def reset(self) -> None:
        self._metric.reset()

    def update(self, output: tuple[Any, Any]) -> None:
        """Add predictions and labels of a batch."""
        self._metric.update(*output)

    def compute(self) -> dict[str, float]:
        """All numbers, over the batches of all processes."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return dict(self._metric.compute())
        of_ranks: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(of_ranks, self._metric)
        merged = of_ranks[0]
        for other in of_ranks[1:]:
            merged.merge(other)
        return dict(merged.compute())

    def iteration_completed(self, engine: Engine) -> None:
        output: Any = engine.state.output
        self.update((output[CommonKeys.PRED], output[CommonKeys.LABEL]))
