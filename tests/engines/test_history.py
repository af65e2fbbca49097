"""The table of a run's numbers."""

import csv
import errno
from pathlib import Path

import pytest
from ignite.engine import Engine, Events

from scripts.engines import History
from scripts.viewers import write_history_plot


class Run:
    """A trainer of two iterations an epoch whose loss is 1 / epoch, and which validates in some epochs."""

    def __init__(self, path, validate_in=(), resumed_after=0, evaluator_metrics=None):
        self.trainer = Engine(lambda engine, item: item)
        self.evaluator = Engine(lambda engine, item: item)
        numbers = evaluator_metrics or (lambda epoch: {"score": epoch / 8})

        @self.trainer.on(Events.EPOCH_COMPLETED)
        def finish(engine):
            epoch = engine.state.epoch
            engine.state.metrics["train_total"] = 1 / epoch
            if epoch in validate_in:
                self.evaluator.state.metrics.update(numbers(epoch))
                self.evaluator.run([0])

        History(path, self.evaluator).attach(self.trainer)
        if resumed_after:
            state = {"epoch_length": 2, "max_epochs": 9, "iteration": 2 * resumed_after}
            self.trainer.load_state_dict(state)

    def run(self, epochs):
        self.trainer.run([0, 0], max_epochs=epochs)


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_row_per_epoch(tmp_path):
    path = tmp_path / "new" / "history.csv"
    Run(path, validate_in=(1, 2, 3)).run(3)
    assert read(path) == [
        {"epoch": "1", "iteration": "2", "train_total": "1", "val_score": "0.125"},
        {"epoch": "2", "iteration": "4", "train_total": "0.5", "val_score": "0.25"},
        {"epoch": "3", "iteration": "6", "train_total": "0.333333", "val_score": "0.375"},
    ]


def test_epochs_without_validation_and_columns_that_appear_late(tmp_path):
    path = tmp_path / "history.csv"
    Run(path, (2, 4), evaluator_metrics=lambda epoch: {"late": 5.0} if epoch == 4 else {"score": 0.5}).run(4)
    rows = read(path)
    assert list(rows[0]) == ["epoch", "iteration", "train_total", "val_score", "val_late"]
    assert [row["val_score"] for row in rows] == ["", "0.5", "", "0.5"]
    assert [row["val_late"] for row in rows] == ["", "", "", "5"]


def test_the_file_is_there_after_the_first_epoch(tmp_path):
    path = tmp_path / "history.csv"
    run = Run(path)
    seen = []
    run.trainer.add_event_handler(Events.EPOCH_STARTED(every=1), lambda engine: seen.append(path.exists()))
    run.run(2)
    assert seen == [False, True]


def test_a_new_run_begins_a_new_table(tmp_path):
    path = tmp_path / "history.csv"
    Run(path).run(3)
    Run(path).run(1)
    assert [row["epoch"] for row in read(path)] == ["1"]


def test_a_resumed_run_drops_the_rows_that_it_repeats(tmp_path):
    path = tmp_path / "history.csv"
    Run(path, validate_in=(1, 2, 3)).run(3)
    Run(path, validate_in=(4,), resumed_after=2).run(4)
    rows = read(path)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["val_score"] for row in rows] == ["0.125", "0.25", "", "0.5"]
    assert [row["train_total"] for row in rows] == ["1", "0.5", "0.333333", "0.25"]


def test_a_resumed_run_without_its_table_starts_one(tmp_path):
    path = tmp_path / "history.csv"
    Run(path, resumed_after=2).run(3)
    assert [row["epoch"] for row in read(path)] == ["3"]


def test_without_evaluator_only_training_is_noted(tmp_path):
    trainer = Engine(lambda engine, item: item)
    trainer.state.metrics = {"train_total": 0.25, "not_a_number": "x"}
    History(str(tmp_path / "history.csv")).attach(trainer)
    trainer.run([0], max_epochs=1)
    assert read(tmp_path / "history.csv") == [{"epoch": "1", "iteration": "1", "train_total": "0.25"}]


@pytest.mark.parametrize("number", [1e-9, 123456.789, float("nan")])
def test_numbers_keep_six_digits(tmp_path, number):
    trainer = Engine(lambda engine, item: item)
    trainer.state.metrics = {"train_total": number}
    History(tmp_path / "history.csv").attach(trainer)
    trainer.run([0], max_epochs=1)
    assert float(read(tmp_path / "history.csv")[0]["train_total"]) == pytest.approx(number, rel=1e-5, nan_ok=True)


def test_a_plot_shows_what_the_table_holds(tmp_path):
    trainer = Engine(lambda engine, item: item)
    trainer.state.metrics = {"train_total": 0.5}
    History(tmp_path / "history.csv", plot=tmp_path / "history.png").attach(trainer)
    trainer.run([0], max_epochs=1)
    written = (tmp_path / "history.png").read_bytes()
    assert written == write_history_plot(tmp_path / "history.csv", tmp_path / "again.png").read_bytes()
    trainer.run([0], max_epochs=2)
    assert (tmp_path / "history.png").read_bytes() != written


def test_an_epoch_that_is_done_again_replaces_its_row(tmp_path):
    """As one whose validation was stopped after the table was written."""
    path = tmp_path / "history.csv"
    Run(path).run(2)
    again = Run(path, resumed_after=2)
    again.trainer.add_event_handler(Events.STARTED, lambda engine: engine.fire_event(Events.EPOCH_COMPLETED))
    again.run(9)
    assert [row["epoch"] for row in read(path)] == [str(epoch) for epoch in range(1, 10)]


def test_who_reads_while_it_is_written_meets_whole_rows(tmp_path, monkeypatch):
    """The file is the old one until it is the new one, wherever the writing ends."""
    path = tmp_path / "history.csv"
    Run(path).run(1)
    before = path.read_text()

    def fail(self, text, encoding):
        self.write_bytes(text[:20].encode())
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    Run(path, resumed_after=1).run(9)
    assert path.read_text() == before
    assert [one.name for one in tmp_path.iterdir()] == ["history.csv"]


def test_a_full_disk_is_said_once_and_made_up_for_later(tmp_path, monkeypatch, caplog):
    path = tmp_path / "history.csv"
    run = Run(path)
    (tmp_path / "history.csv.partial").symlink_to("/dev/full")
    run.trainer.add_event_handler(Events.EPOCH_STARTED(once=3), (tmp_path / "history.csv.partial").unlink)
    # the link is put back, since a partial file that fails is removed
    run.trainer.add_event_handler(
        Events.EPOCH_STARTED(once=2), lambda: (tmp_path / "history.csv.partial").symlink_to("/dev/full")
    )
    run.run(3)
    assert [row["epoch"] for row in read(path)] == ["1", "2", "3"]
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == f"{path} cannot be written: No space left on device; the training goes on without it"
