"""GatheredMetric in an engine, and over two processes whose numbers are put together."""

import torch
from ignite.engine import Engine
from monai.utils.enums import CommonKeys
from torch import distributed

from scripts.engines.gathered_metric import GatheredMetric


class Total:
    """Sum of predictions times labels."""

    def __init__(self, total=0.0):
        self.total = total

    def reset(self):
        self.total = 0.0

    def update(self, prediction, label):
        self.total += float(prediction * label)

    def merge(self, other):
        self.total += other.total

    def compute(self):
        return {"total": self.total}


def run(metric, *pairs):
    outputs = [{CommonKeys.PRED: torch.tensor(a), CommonKeys.LABEL: torch.tensor(b)} for a, b in pairs]
    engine = Engine(lambda _, batch: batch)
    metric.attach(engine, "sums")
    return engine.run(outputs).metrics["sums"]


def test_every_iteration_counts_and_every_run_begins_anew():
    metric = GatheredMetric(Total())
    assert run(metric, (1.0, 2.0), (3.0, 4.0)) == {"total": 14}
    assert run(metric, (1.0, 5.0)) == {"total": 5}


def test_numbers_of_all_processes_are_put_together(monkeypatch):
    def gather(into, own):
        into[:] = [own, Total(100.0)]

    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_gather_object", gather)
    metric = GatheredMetric(Total())
    metric.update((torch.tensor(2.0), torch.tensor(3.0)))
    assert metric.compute() == {"total": 106}
