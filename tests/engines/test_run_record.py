"""What the record of a run says while it runs, at its end, and when it fails."""

import json
import os
import socket
import time

import pytest
import torch
from ignite.engine import Engine, Events

from scripts.engines import Progress, RunRecord, StoppedBySignal, begin_record


def make(path, step=lambda engine, item: item, **options):
    """A trainer with a record of every step."""
    trainer = Engine(step)
    RunRecord(path / "run.json", **({"interval": 0.0} | options)).attach(trainer)
    return trainer


def read(path):
    return json.loads((path / "run.json").read_text())


def test_settings_plan_and_machine_are_there_before_the_first_batch(tmp_path):
    before = time.time()
    begin_record(
        tmp_path / "new" / "run.json",
        {"lr": 0.1, "device": torch.device("cpu"), "odd": float("nan")},
        {"strides": [[1, 1]]},
        42,
    )
    found = read(tmp_path / "new")
    assert found["settings"] == {"lr": 0.1, "device": "cpu", "odd": None}
    assert (found["plan"], found["parameters"]) == ({"strides": [[1, 1]]}, 42)
    assert (found["state"], found["phase"]) == ("running", "start")
    assert (found["host"], found["pid"]) == (socket.gethostname(), os.getpid())
    assert before <= found["started"] <= found["seen"] <= time.time()
    assert found["machine"]["torch"] == torch.__version__


def test_each_step_is_counted_and_the_rest_estimated(tmp_path):
    seen = []
    trainer = make(tmp_path, lambda engine, item: time.sleep(0.02))
    begin_record(tmp_path / "run.json", {"lr": 0.1}, None, 1)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: seen.append(read(tmp_path)))
    trainer.run([0, 0, 0], max_epochs=2)
    assert [(one["epoch"], one["iteration"], one["state"]) for one in seen] == [
        (1, 1, "running"), (1, 2, "running"), (1, 3, "running"), (2, 4, "running"), (2, 5, "running"),
        (2, 6, "running"),
    ]  # fmt: skip
    assert {(one["max_epochs"], one["epoch_length"]) for one in seen} == {(2, 3)}
    for one in seen:
        assert one["seconds_per_iteration"] >= 0.02
        assert one["seconds_left"] == pytest.approx((6 - one["iteration"]) * one["seconds_per_iteration"])
    assert all(one["settings"] == {"lr": 0.1} for one in seen)
    assert (read(tmp_path)["state"], read(tmp_path)["seconds_left"]) == ("finished", 0)


def test_a_run_that_goes_on_counts_what_it_does_itself(tmp_path):
    seen = []
    trainer = make(tmp_path, lambda engine, item: time.sleep(0.02))
    trainer.load_state_dict({"epoch": 1, "epoch_length": 50, "max_epochs": 2})
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=51), lambda: seen.append(read(tmp_path)))
    trainer.run([0] * 50)
    assert (seen[0]["iteration"], seen[0]["epoch"]) == (51, 2)
    assert 0.02 <= seen[0]["seconds_per_iteration"] < 1
    assert seen[0]["seconds_left"] == pytest.approx(49 * seen[0]["seconds_per_iteration"])


def test_signs_of_life_are_as_frequent_as_is_said(tmp_path):
    seen = []
    trainer = make(tmp_path, interval=3600.0)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: seen.append(read(tmp_path)["iteration"]))
    trainer.run([0, 0], max_epochs=2)
    assert seen == [0, 0, 2, 2]  # the start and each epoch's end


def test_validation_is_a_sign_of_life(tmp_path):
    evaluator, seen = Engine(lambda engine, item: item), []
    trainer = make(tmp_path, evaluator=evaluator)
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda: seen.append(read(tmp_path)))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0]))
    trainer.run([0, 0], max_epochs=1)
    assert [(one["phase"], one["iteration"]) for one in seen] == [("validation", 2)]


def fail(engine, item):
    raise ValueError("no <such> patch")


@pytest.mark.parametrize("with_progress", [False, True])
def test_an_error_is_recorded_and_goes_on_its_way(tmp_path, with_progress):
    trainer = make(tmp_path, fail)
    if with_progress:
        Progress("train").attach(trainer)
    with pytest.raises(ValueError, match="no <such> patch"):
        trainer.run([0], max_epochs=1)
    assert (read(tmp_path)["state"], read(tmp_path)["error"]) == ("failed", "ValueError: no <such> patch")


def test_an_error_in_validation_is_the_trainings(tmp_path):
    evaluator = Engine(fail)
    trainer = make(tmp_path, evaluator=evaluator)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0]))
    with pytest.raises(ValueError, match="no <such> patch"):
        trainer.run([0], max_epochs=1)
    assert read(tmp_path)["state"] == "failed"


def test_the_record_of_another_training_is_not_taken_for_ones_own(tmp_path):
    begin_record(tmp_path / "run.json", {"lr": 0.1}, None, 1)
    old = read(tmp_path) | {"pid": os.getpid() + 1, "started": 1.0}
    (tmp_path / "run.json").write_text(json.dumps(old))
    make(tmp_path).run([0], max_epochs=1)
    found = read(tmp_path)
    assert "settings" not in found
    assert (found["pid"], found["machine"]["torch"]) == (os.getpid(), torch.__version__)
    assert found["started"] > 1.0


def stopped(tmp_path, step, *handlers):
    trainer = make(tmp_path, step)
    for event, handler in handlers:
        trainer.add_event_handler(event, handler)
    with pytest.raises(StoppedBySignal):
        trainer.run([0], max_epochs=1)
    return read(tmp_path)


def stop(*_):
    raise StoppedBySignal(15, is_between_steps=True)


def test_a_signal_is_no_failure(tmp_path):
    found = stopped(tmp_path, stop)
    assert found["state"] == "stopped"
    assert "error" not in found


def test_a_signal_after_the_end_changes_nothing(tmp_path):
    assert stopped(tmp_path, lambda *_: None, (Events.COMPLETED, stop))["state"] == "finished"


def test_a_record_that_cannot_be_written_does_not_end_the_training(tmp_path, caplog):
    (tmp_path / "run.json").mkdir()
    make(tmp_path).run([0], max_epochs=1)
    assert caplog.text.count("run.json cannot be written: Is a directory; the training goes on without it") == 1
