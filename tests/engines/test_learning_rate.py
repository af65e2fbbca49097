"""When each kind of schedule is stepped."""

import pytest
import torch
from ignite.engine import Engine, Events
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, PolynomialLR, ReduceLROnPlateau

from scripts.engines import LearningRate, TrainingEvents


def rates(make_scheduler, *, epochs=3, scores=None, lr=1.0):
    """Learning rate before each iteration, two iterations an epoch, and what the engine reports after each epoch."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    evaluator = Engine(lambda engine, item: None)
    evaluator.state.key_metric_name = "score"
    seen, reported = [], []

    def step(engine, item):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        engine.register_events(*TrainingEvents)
        engine.fire_event(TrainingEvents.OPTIMIZER_STEPPED)

    trainer = Engine(step)
    LearningRate(make_scheduler(optimizer), evaluator).attach(trainer)

    @trainer.on(Events.EPOCH_COMPLETED)
    def finish(engine):
        reported.append(engine.state.metrics["learning_rate"])
        if scores is not None:
            evaluator.state.metrics = {"score": scores[engine.state.epoch - 1]}
            evaluator.run([0])

    trainer.run([0, 0], max_epochs=epochs)
    return seen, reported


def test_nnunets_polynomial_falls_once_per_epoch():
    seen, reported = rates(lambda optimizer: PolynomialLR(optimizer, total_iters=3, power=0.9))
    by_hand = [(1 - epoch / 3) ** 0.9 for epoch in (0, 0, 1, 1, 2, 2)]
    assert seen == pytest.approx(by_hand)
    assert reported == pytest.approx(by_hand[::2])


def test_cosine_falls_once_per_epoch():
    seen, _ = rates(lambda optimizer: CosineAnnealingLR(optimizer, T_max=4))
    assert seen[::2] == pytest.approx([1.0, (1 + 0.5**0.5) / 2, 0.5])
    assert seen[::2] == seen[1::2]


def test_one_cycle_moves_with_every_step():
    seen, reported = rates(lambda optimizer: OneCycleLR(optimizer, max_lr=1.0, total_steps=7, pct_start=0.5))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = OneCycleLR(optimizer, max_lr=1.0, total_steps=7, pct_start=0.5)
    expected = []
    for _ in range(6):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert seen == pytest.approx(expected)
    assert len(set(seen)) == 6
    assert reported == pytest.approx([*expected[2::2], optimizer.param_groups[0]["lr"]])


def test_a_plateau_is_measured_in_the_score():
    seen, _ = rates(
        lambda optimizer: ReduceLROnPlateau(optimizer, mode="max", factor=0.1, patience=0),
        epochs=4,
        scores=[0.5, 0.6, 0.6, 0.6],
    )
    assert seen[::2] == pytest.approx([1.0, 1.0, 1.0, 0.1])


def test_a_plateau_that_waits_for_a_fall_is_an_error():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ValueError, match=r"ReduceLROnPlateau needs mode = 'max', got 'min'"):
        LearningRate(ReduceLROnPlateau(optimizer), Engine(lambda engine, item: None))
    with pytest.raises(ValueError, match="needs the evaluator whose key metric it follows"):
        LearningRate(ReduceLROnPlateau(optimizer, mode="max"))
