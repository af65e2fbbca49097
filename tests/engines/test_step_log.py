"""The loss of every step: what the file holds, how long it gets, how it goes on."""

import pytest
import torch
from ignite.engine import Engine, Events

from scripts.engines import StepLog, TrainingEvents
from scripts.viewers.dashboard_files import read_steps


def loss_of(iteration):
    return 1 + iteration / 8


def trainer(log):
    engine = Engine(lambda engine, item: {"loss": torch.tensor(loss_of(engine.state.iteration), requires_grad=True)})
    log.attach(engine)
    return engine


def means(n, per_row):
    """Rows for iterations 1 to n: the last of each group, and its mean."""
    groups = [range(first, first + per_row) for first in range(1, n - per_row + 2, per_row)]
    return [(group[-1], pytest.approx(sum(map(loss_of, group)) / per_row)) for group in groups]


def test_a_row_for_each_step(tmp_path):
    path = tmp_path / "new" / "steps.csv"
    trainer(StepLog(path)).run([0] * 5, max_epochs=2)
    assert read_steps(path) == means(10, 1)
    assert path.read_text().startswith("iteration,loss\n1,1.125\n")


@pytest.mark.parametrize(("steps", "per_row"), [(7, 1), (8, 2), (15, 2), (16, 4), (35, 8), (100, 16)])
def test_a_long_run_merges_its_steps(tmp_path, steps, per_row):
    path = tmp_path / "steps.csv"
    trainer(StepLog(path, limit=8)).run([0] * steps, max_epochs=1)
    assert read_steps(path) == means(steps, per_row)
    assert len(read_steps(path)) < 8


def test_how_often_it_is_written_changes_nothing(tmp_path):
    for name, interval in (("often", 0.0), ("once", 3600.0)):
        trainer(StepLog(tmp_path / name, limit=8, interval=interval)).run([0] * 37, max_epochs=1)
    assert (tmp_path / "often").read_text() == (tmp_path / "once").read_text()


@pytest.mark.parametrize(("interval", "rows"), [(0.0, [1, 2, 3]), (3600.0, [])])
def test_it_can_be_read_while_the_epoch_runs(tmp_path, interval, rows):
    path, seen = tmp_path / "steps.csv", []
    engine = trainer(StepLog(path, interval=interval))
    engine.add_event_handler(
        Events.ITERATION_COMPLETED(once=3), lambda: seen.extend(read_steps(path) if path.exists() else [])
    )
    engine.run([0] * 4, max_epochs=1)
    assert [iteration for iteration, _ in seen] == rows


def test_a_run_that_goes_on_appends_after_its_last_whole_epoch(tmp_path):
    path = tmp_path / "steps.csv"
    trainer(StepLog(path, limit=20)).run([0] * 15, max_epochs=2)  # 30 steps, two of them a row
    assert read_steps(path) == means(30, 2)
    again = trainer(StepLog(path, limit=20))
    again.load_state_dict({"epoch": 1, "epoch_length": 15, "max_epochs": 2})
    again.run([0] * 15)
    assert [row[0] for row in read_steps(path)] == [*range(2, 15, 2), *range(17, 30, 2)]


def test_a_new_run_begins_anew(tmp_path):
    path = tmp_path / "steps.csv"
    trainer(StepLog(path)).run([0] * 5, max_epochs=1)
    trainer(StepLog(path)).run([0] * 2, max_epochs=1)
    assert read_steps(path) == means(2, 1)


@pytest.mark.parametrize("limit", [0, 1, 7, 2.0])
def test_a_limit_that_cannot_be_halved_is_named(tmp_path, limit):
    with pytest.raises(ValueError, match=f"limit must be an even number of at least 2, got {limit!r}"):
        StepLog(tmp_path / "a", limit=limit)


def test_a_stop_loses_no_step(tmp_path):
    path = tmp_path / "steps.csv"
    engine = trainer(StepLog(path, interval=3600.0))
    engine.add_event_handler(
        Events.ITERATION_COMPLETED(once=3), lambda: engine.fire_event(TrainingEvents.STOPPED) or engine.terminate()
    )
    engine.run([0] * 5, max_epochs=1)
    assert read_steps(path) == means(3, 1)


def test_a_full_disk_does_not_end_the_training(tmp_path, caplog):
    (tmp_path / "steps.csv.partial").symlink_to("/dev/full")
    engine = trainer(StepLog(tmp_path / "steps.csv", interval=0.0))
    engine.run([0] * 3, max_epochs=1)
    assert "steps.csv cannot be written: No space left on device; the training goes on" in caplog.text
    assert read_steps(tmp_path / "steps.csv") == means(3, 1)
