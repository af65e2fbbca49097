"""Epoch means of loss terms, by hand."""

import pytest
import torch
from ignite.engine import Engine, Events

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


def parted(values, at, loss_of):
    """Epoch means of a run that stops after `at` steps and goes on with another process's handler."""
    first, second = (LossTerms(torch.nn.L1Loss()) for _ in range(2))
    engine = Engine(loss_of)
    first.attach(engine)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=at), engine.terminate)
    engine.run(values, max_epochs=2)
    engine = Engine(loss_of)
    second.attach(engine)
    second.load_state_dict(first.state_dict())
    engine.load_state_dict({"iteration": at, "epoch_length": len(values), "max_epochs": 2})
    means = []
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: means.append(engine.state.metrics["train_total"]))
    engine.run(values[at % len(values) :] + values, epoch_length=len(values))
    return means


@pytest.mark.parametrize(("at", "means"), [(1, [3.0, 3.0]), (2, [3.0, 3.0]), (4, [3.0])])
def test_an_epoch_that_goes_on_has_the_mean_of_all_of_it(at, means):
    """Losses 1, 3, 5 in each of two epochs, with a stop after the first, second or fourth of all."""
    assert parted([1, 3, 5], at, lambda engine, value: {"loss": torch.tensor(float(value))}) == means


def test_sums_of_a_whole_epoch_are_not_those_of_the_next():
    terms = LossTerms(torch.nn.L1Loss())
    terms.load_state_dict({"epoch": 1, "count": 2, "sums": {"total": torch.tensor(100.0)}})
    engine = Engine(lambda engine, value: {"loss": torch.tensor(float(value))})
    terms.attach(engine)
    engine.load_state_dict({"epoch": 1, "epoch_length": 2, "max_epochs": 2})
    engine.run([1, 3])
    assert engine.state.metrics == {"train_total": 2.0}
