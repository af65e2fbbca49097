"""What a person sees of a running epoch, in a log and at a terminal."""

import io
import logging
import re
import sys

import pytest
import torch
from ignite.engine import Engine, Events

from scripts.engines import Progress
from scripts.engines.progress import duration


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def engine_of(output, progress):
    engine = Engine(lambda engine, item: output(item))
    progress.attach(engine)
    return engine


def with_loss(item):
    return {"loss": torch.tensor(item / 4)}


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.WARNING, logger="ignite.engine.engine.Engine")  # which a config may have made talkative
    caplog.set_level(logging.INFO, logger="scripts.engines.progress")
    return caplog


def test_a_line_per_interval_and_one_per_epoch_where_nobody_watches(log, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    engine = engine_of(with_loss, Progress("train", interval=0.0))
    engine.state.metrics = {"b": 2.0, "a": 0.123456}
    engine.run([1, 3], max_epochs=2)
    first, second, end = (record.getMessage() for record in log.records[:3])
    assert re.fullmatch(r"train 1/2: 1/2, \d+\.\d\d s each, \d+ s left, loss 0\.2500", first)
    assert re.fullmatch(r"train 1/2: 2/2, \d+\.\d\d s each, 0 s left, loss 0\.7500", second)
    assert end == "train 1/2: a 0.1235, b 2 (0 s left in all)"
    assert [record.getMessage().split(",")[0] for record in log.records[3:]] == [
        "train 2/2: 1/2", "train 2/2: 2/2", "train 2/2: a 0.1235",
    ]  # fmt: skip
    assert sys.stderr.getvalue() == ""


def test_rate_and_remaining_time(log, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    clock = iter([99.0, 100.0, 101.5, 101.5, 103.0, 103.0])  # run, epoch, then each step: to compare and to note
    monkeypatch.setattr("scripts.engines.progress.time.monotonic", lambda: next(clock))
    engine_of(with_loss, Progress("train", interval=1.0)).run([1, 1], max_epochs=1, epoch_length=2)
    assert log.records[0].getMessage() == "train 1/1: 1/2, 1.50 s each, 2 s left, loss 0.2500"
    assert log.records[1].getMessage() == "train 1/1: 2/2, 1.50 s each, 0 s left, loss 0.2500"


def test_time_left_of_the_whole_run_counts_from_where_it_went_on(log, monkeypatch):
    """Epochs 3 and 4 of 6 take 100 s each, whatever came before: 400 - 100 x 1 left after the third."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    clock = Clock()
    monkeypatch.setattr("scripts.engines.progress.time.monotonic", clock)

    def step(item):
        clock.now += 50.0
        return {}

    engine = engine_of(step, Progress("train", interval=3600))
    engine.load_state_dict({"epoch": 2, "epoch_length": 2, "max_epochs": 6})
    engine.run([1, 2])
    said = [record.getMessage() for record in log.records]
    assert said[0] == "train 3/6: done (5 min 0 s left in all)"
    assert said[-1] == "train 6/6: done"


def test_loss_terms_stand_beside_the_total(log, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())

    class Loss:
        terms = {"sheet": torch.tensor(0.5), "normals": torch.tensor(0.25), "total": torch.tensor(0.75)}

    engine = Engine(lambda engine, item: {"loss": torch.tensor(0.75)})
    engine.loss_function = Loss()
    Progress("train", interval=0.0).attach(engine)
    engine.run([1])
    assert log.records[0].getMessage().endswith("loss 0.7500 (sheet 0.5000, normals 0.2500)")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (18732, "5 h 12 min"),
        (187200, "2 d 4 h"),
    ],
)
def test_times_as_a_person_says_them(seconds, text):
    assert duration(seconds) == text


def test_a_long_interval_leaves_the_end_of_the_epoch_alone(log, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    engine_of(with_loss, Progress("train", interval=3600)).run([1, 2, 3], max_epochs=1)
    assert [record.getMessage() for record in log.records] == ["train 1/1: done"]


def test_without_loss_nothing_is_said_of_it(log, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    engine_of(lambda item: {"pred": item}, Progress("validate", interval=0.0)).run([1], max_epochs=1)
    assert re.fullmatch(r"validate 1/1: 1/1, \d+\.\d\d s each, 0 s left", log.records[0].getMessage())


def test_a_bar_at_a_terminal(log, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    engine_of(with_loss, Progress("train", interval=0.0)).run([1, 3], max_epochs=1)
    shown = sys.stderr.getvalue()
    for part in ("train 1/1: ", "0/2", "2/2", "loss 0.2500", "loss 0.7500"):
        assert part in shown
    assert [record.getMessage() for record in log.records] == ["train 1/1: done"]


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_an_error_goes_on_its_way_and_the_bar_is_closed(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream())

    def fail(item):
        raise RuntimeError(f"broken at {item}")

    progress = Progress("train")
    with pytest.raises(RuntimeError, match="broken at 7"):
        engine_of(fail, progress).run([7], max_epochs=1)
    assert progress._bar is None or progress._bar.disable  # tqdm disables a bar when it closes it


def test_an_epoch_that_goes_on_in_its_midst_counts_all_of_it(log, monkeypatch):
    """The third of four steps is the first that this process does, in 50 s; then one is left."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    clock = Clock()
    monkeypatch.setattr("scripts.engines.progress.time.monotonic", clock)

    def step(item):
        clock.now += 50.0
        return {}

    engine = engine_of(step, Progress("train", interval=0.0))
    engine.load_state_dict({"iteration": 2, "epoch_length": 4, "max_epochs": 2})
    engine.run([1, 2, 3, 4])
    said = [record.getMessage() for record in log.records]
    assert said[0] == "train 1/2: 3/4, 50.00 s each, 50 s left"
    assert said[2] == "train 1/2: done (3 min 20 s left in all)"


def test_an_epoch_without_steps_of_this_process_promises_nothing(log, monkeypatch):
    """One that goes on with its validation."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    engine = engine_of(with_loss, Progress("train"))
    engine.add_event_handler(Events.STARTED, lambda: engine.fire_event(Events.EPOCH_COMPLETED))
    engine.load_state_dict({"iteration": 2, "epoch_length": 2, "max_epochs": 2})
    engine.run([1, 2])
    assert log.records[0].getMessage() == "train 1/2: done"
