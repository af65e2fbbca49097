"""Ends that come early."""

import logging

import pytest
from ignite.engine import Engine, Events

from scripts.engines import EarlyStop, TimeLimit


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(("seconds", "expected"), [(25.0, 3), (30.0, 3), (0.5, 1), (1000.0, 5), (None, 5)])
def test_no_batch_is_begun_after_the_limit(monkeypatch, caplog, seconds, expected):
    clock = Clock()
    monkeypatch.setattr("scripts.engines.limits.time.monotonic", clock)
    caplog.set_level(logging.INFO)
    done, ended = [], []

    def step(engine, item):
        clock.now += 10.0
        done.append(item)

    engine = Engine(step)
    TimeLimit(seconds).attach(engine)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: ended.append(engine.state.epoch))
    engine.run(range(5))
    assert len(done) == expected
    assert ended == [1]  # metrics are computed then
    assert (f"stopped after {expected} of 5 batches: the limit is {seconds} s" in caplog.text) == (expected < 5)


def test_each_epoch_has_its_own_time(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("scripts.engines.limits.time.monotonic", clock)
    done = []

    def step(engine, item):
        clock.now += 10.0
        done.append(engine.state.epoch)

    engine = Engine(step)
    TimeLimit(15.0).attach(engine)
    engine.run(range(5), max_epochs=2)
    assert done == [1, 1, 2, 2]


def test_a_limit_of_nothing_is_an_error():
    with pytest.raises(ValueError, match=r"seconds must be a positive number, or null for no limit; got 0"):
        TimeLimit(0)


def epochs_done(scores, state=None, **options):
    """Epochs that a training does whose validations have these scores."""
    trainer = Engine(lambda engine, item: None)
    evaluator = Engine(lambda engine, item: None)
    evaluator.state.key_metric_name = "score"
    stop = EarlyStop(trainer, **options)
    if state:
        stop.load_state_dict(state)
    stop.attach(evaluator)

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate(engine):
        evaluator.state.metrics = {"score": scores[engine.state.epoch - 1]}
        evaluator.run([0])

    trainer.run([0], max_epochs=len(scores))
    return trainer.state.epoch, stop.state_dict()


@pytest.mark.parametrize(
    ("scores", "options", "expected"),
    [
        ([0.1, 0.2, 0.2, 0.1, 0.3, 0.4], {"patience": 2}, 4),
        ([0.1, 0.2, 0.2, 0.1, 0.3, 0.4], {"patience": 3}, 6),
        ([0.10, 0.11, 0.12, 0.13, 0.9], {"patience": 3, "min_delta": 0.05}, 4),
        ([0.10, 0.11, 0.12, 0.19, 0.2, 0.2], {"patience": 3, "min_delta": 0.05}, 6),
    ],
)
def test_a_training_that_gets_no_better_ends(scores, options, expected):
    assert epochs_done(scores, **options)[0] == expected


def test_a_resumed_run_has_no_new_patience():
    _, state = epochs_done([0.5, 0.4], patience=3)
    assert epochs_done([0.4, 0.4, 0.4, 0.4], state, patience=3)[0] == 2
