"""Epoch means of loss terms, by hand."""

import pytest
import torch
from ignite.engine import Engine

from scripts.engines import LossTerms
from scripts.losses import MultiTaskLoss

TARGETS = {
    "depth": {"channels": 1, "kind": "scalar", "loss": "l1", "weight": 0.5},
    "height": {"channels": 1, "kind": "scalar", "loss": "mse"},
}


def test_means_of_each_epoch():
    loss = MultiTaskLoss(TARGETS)

    def step(engine, value):
        prediction = torch.full((1, 1, 2, 2, 2), float(value), requires_grad=True)
        labels = {name: torch.zeros(1, 1, 2, 2, 2) for name in TARGETS}
        return loss(dict.fromkeys(TARGETS, prediction), labels).item()

    engine = Engine(step)
    LossTerms(loss).attach(engine)
    engine.run([1, 3], max_epochs=1)
    # depth: mean of 1 and 3; height: mean of 1 and 9; total: 0.5 x 2 + 5
    assert engine.state.metrics == pytest.approx({"train_depth": 2.0, "train_height": 5.0, "train_total": 6.0})
    engine.run([2, 2, 5], max_epochs=1)
    assert engine.state.metrics == pytest.approx({"train_depth": 3.0, "train_height": 11.0, "train_total": 12.5})
    assert all(type(value) is float for value in engine.state.metrics.values())


def test_of_a_loss_without_terms_the_loss_itself_is_averaged():
    engine = Engine(lambda engine, value: {"loss": torch.tensor(float(value), requires_grad=True)})
    LossTerms(torch.nn.L1Loss()).attach(engine)
    engine.run([1, 3], max_epochs=1)
    assert engine.state.metrics == {"train_total": 2.0}
