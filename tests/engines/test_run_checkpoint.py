"""Files of a run: what is kept, what comes back."""

import random

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events

from scripts.engines import RandomState, RunCheckpoint, TrainingEvents


class Counter:
    """Something with a state."""

    def __init__(self, value=0):
        self.value = value

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


class Run:
    """A trainer whose validation scores are given; `None`: that epoch is not validated."""

    def __init__(self, folder, scores, **options):
        self.counter = Counter()
        self.trainer = Engine(lambda engine, item: None)
        self.trainer.state.max_epochs = len(scores)
        self.trainer.state.epoch_length = 2
        evaluator = Engine(lambda engine, item: None)
        evaluator.state.key_metric_name = "score"

        @self.trainer.on(Events.EPOCH_COMPLETED)
        def validate(engine):
            self.counter.value = engine.state.epoch
            if scores[engine.state.epoch - 1] is not None:
                evaluator.state.metrics = {"score": scores[engine.state.epoch - 1]}
                evaluator.run([0])

        self.checkpoint = RunCheckpoint(folder, {"counter": self.counter}, evaluator, **options)
        self.checkpoint.attach(self.trainer)

    def run(self, epochs=None):
        self.trainer.run([0, 0], max_epochs=epochs or self.trainer.state.max_epochs, epoch_length=2)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_last_and_the_best_stay(tmp_path):
    Run(tmp_path, [0.5, 0.9, 0.8, 0.1, None, 0.2], keep_last=2, keep_best=2).run()
    assert files(tmp_path) == [
        *("model_epoch=2_score=0.9000.pt", "model_epoch=3_score=0.8000.pt"),
        *("model_epoch=5.pt", "model_epoch=6_score=0.2000.pt"),
    ]


def test_files_of_other_runs_are_left_alone(tmp_path):
    for name in ("model_epoch=1.pt", "model_epoch=40.pt", "model.pt", "theirs_epoch=1.pt"):
        (tmp_path / name).touch()
    Run(tmp_path, [None, None, None]).run()
    assert files(tmp_path) == ["model.pt", "model_epoch=3.pt", "model_epoch=40.pt", "theirs_epoch=1.pt"]


def test_a_resumed_run_knows_its_files(tmp_path):
    scores = [0.9, 0.1, 0.2, 0.3]
    Run(tmp_path, scores, keep_best=1).run(epochs=2)
    assert files(tmp_path) == ["model_epoch=1_score=0.9000.pt", "model_epoch=2_score=0.1000.pt"]
    later = Run(tmp_path, scores, keep_best=1)
    found = later.checkpoint.load(tmp_path / "model_epoch=2_score=0.1000.pt", later.trainer)
    assert found["epoch"] == later.trainer.state.epoch == later.counter.value == 2
    assert later.trainer.state.iteration == 4
    later.run()
    assert files(tmp_path) == ["model_epoch=1_score=0.9000.pt", "model_epoch=4_score=0.3000.pt"]


def test_intervals_and_the_end(tmp_path):
    Run(tmp_path, [None] * 5, interval=2, keep_last=9, name="sheets").run()
    assert files(tmp_path) == ["sheets_epoch=2.pt", "sheets_epoch=4.pt", "sheets_epoch=5.pt"]


def test_a_run_that_a_validation_ends_is_saved(tmp_path):
    run = Run(tmp_path, [0.1, 0.2, 0.3, 0.4, 0.5], interval=4)

    @run.checkpoint.evaluator.on(Events.COMPLETED)
    def end(engine):
        if engine.state.metrics["score"] == 0.3:
            run.trainer.terminate()

    run.run()
    assert files(tmp_path) == ["model_epoch=3_score=0.3000.pt"]


def test_a_write_that_fails_leaves_the_previous_file_whole(tmp_path, monkeypatch):
    run = Run(tmp_path, [None, None])
    run.run(epochs=1)
    before = (tmp_path / "model_epoch=1.pt").read_bytes()

    def fail(content, file):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        run.checkpoint.save(run.trainer)
    assert (tmp_path / "model_epoch=1.pt").read_bytes() == before


def test_the_config_travels_along(tmp_path):
    run = Run(tmp_path, [None, None], config='{"a": 1}')
    run.run(epochs=1)
    later = Run(tmp_path, [None, None])
    assert later.checkpoint.load(tmp_path / "model_epoch=1.pt", later.trainer)["config"] == '{"a": 1}'


def test_what_cannot_be_gone_on_from_is_named(tmp_path):
    run = Run(tmp_path, [None, None])
    run.run()
    path = tmp_path / "model_epoch=2.pt"
    with pytest.raises(ValueError, match=r"is of epoch 2, and max_epochs is 2: raise max_epochs to go on"):
        run.checkpoint.load(path, run.trainer)
    other = RunCheckpoint(tmp_path, {"counter": Counter(), "average": Counter()})
    with pytest.raises(ValueError, match=r"lacks the state of average; it holds format, epoch, .*counter"):
        other.load(path, Run(tmp_path, [None] * 9).trainer)
    torch.save({"weight": torch.zeros(1)}, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=r"weights\.pt is no checkpoint of a run .*give it as `weights`"):
        run.checkpoint.load(tmp_path / "weights.pt", run.trainer)


@pytest.mark.parametrize("option", ["keep_last", "interval"])
def test_numbers_out_of_range_are_errors(tmp_path, option):
    with pytest.raises(ValueError, match=rf"{option} must be a whole number of at least 1, got 0"):
        RunCheckpoint(tmp_path, {}, **{option: 0})


def test_random_generators_go_on_where_they_were(tmp_path):
    state = RandomState()
    path = tmp_path / "state.pt"
    random.seed(1), np.random.seed(2), torch.manual_seed(3)  # noqa: NPY002
    np.random.normal()  # noqa: NPY002 - leaves the second of a pair for later

    def draw():
        return [random.random(), np.random.normal(), np.random.random(), torch.rand(2).tolist()]  # noqa: NPY002

    torch.save(state.state_dict(), path)
    expected = draw()
    assert draw() != expected
    state.load_state_dict(torch.load(path, weights_only=True))
    assert draw() == expected


def stopped(folder, scores, at, event=Events.ITERATION_COMPLETED, **options):
    """A run that is stopped at an event; its trainer has two steps an epoch."""
    run = Run(folder, scores, **options)

    def stop(engine):
        engine.register_events(*TrainingEvents)
        engine.fire_event(TrainingEvents.STOPPED)
        engine.terminate(skip_completed=True)

    run.trainer.add_event_handler(event(once=at), stop)
    run.run()
    return run


def test_a_stop_between_two_steps_has_its_iteration_in_the_name_and_goes_when_the_epoch_is_whole(tmp_path):
    stopped(tmp_path, [0.5, 0.4, 0.3], at=3)
    assert files(tmp_path) == ["model_epoch=1_iteration=3.pt", "model_epoch=1_score=0.5000.pt"]
    later = Run(tmp_path, [0.5, 0.4, 0.3])
    found = later.checkpoint.load(tmp_path / "model_epoch=1_iteration=3.pt", later.trainer)
    assert (found["epoch"], found["iteration"]) == (1, 3)
    later.trainer.add_event_handler(Events.EPOCH_COMPLETED(once=2), lambda: seen.extend(files(tmp_path)))
    seen = []
    later.run()
    assert seen == ["model_epoch=2_score=0.4000.pt"]
    assert later.trainer.state.iteration == 6


def test_a_second_stop_replaces_the_first(tmp_path):
    stopped(tmp_path, [None, None], at=1)
    again = Run(tmp_path, [None, None])
    again.checkpoint.load(tmp_path / "model_epoch=0_iteration=1.pt", again.trainer)
    again.trainer.add_event_handler(
        Events.ITERATION_COMPLETED(once=3), lambda engine: engine.fire_event(TrainingEvents.STOPPED)
    )
    again.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), again.trainer.terminate)
    again.run()
    assert "model_epoch=1_iteration=3.pt" in files(tmp_path)
    assert "model_epoch=0_iteration=1.pt" not in files(tmp_path)


def test_a_stop_before_the_epoch_was_validated_repeats_the_validation_alone(tmp_path):
    """The last step of all is done: nothing but the end of its epoch is left."""
    run = stopped(tmp_path, [None, 0.4], at=4)
    assert files(tmp_path) == ["model_epoch=1.pt", "model_epoch=1_iteration=4.pt"]
    later = Run(tmp_path, [None, 0.4])
    steps = []
    later.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: steps.append(1))
    later.checkpoint.load(tmp_path / "model_epoch=1_iteration=4.pt", later.trainer)
    later.run(epochs=later.trainer.state.max_epochs)
    assert (steps, later.trainer.state.epoch, later.trainer.state.max_epochs) == ([], 2, 2)
    assert files(tmp_path) == ["model_epoch=2_score=0.4000.pt"]
    assert run.counter.value == 1


def test_a_stop_between_epochs_is_the_epoch_s_file(tmp_path):
    stopped(tmp_path, [None, None, None], at=2, event=Events.EPOCH_STARTED, interval=9)
    assert files(tmp_path) == ["model_epoch=1.pt"]


def test_a_stop_right_after_a_start_leaves_what_there_was(tmp_path, caplog):
    caplog.set_level("INFO", logger="scripts.engines.run_checkpoint")
    stopped(tmp_path, [None], at=1, event=Events.EPOCH_STARTED)
    assert files(tmp_path) == []
    Run(tmp_path, [None, None]).run(epochs=1)
    before = (tmp_path / "model_epoch=1.pt").stat().st_mtime_ns
    again = Run(tmp_path, [None, None])
    again.checkpoint.load(tmp_path / "model_epoch=1.pt", again.trainer)
    again.trainer.add_event_handler(Events.STARTED, lambda engine: engine.fire_event(TrainingEvents.STOPPED))
    again.trainer.add_event_handler(Events.STARTED, again.trainer.terminate)
    again.run()
    assert files(tmp_path) == ["model_epoch=1.pt"]
    assert (tmp_path / "model_epoch=1.pt").stat().st_mtime_ns == before
    assert "nothing to save: no batch is done" in caplog.text
    assert f"saved as {tmp_path}/model_epoch=1.pt: load_model 'latest' goes on from there" in caplog.text


def test_a_stop_in_an_epoch_of_another_length_is_named(tmp_path):
    stopped(tmp_path, [None, None], at=1)
    later = Run(tmp_path, [None, None])
    later.trainer.state.epoch_length = 5
    with pytest.raises(ValueError, match=r"an epoch of 2 steps, and max_steps_per_epoch is 5: set it to 2 to go on"):
        later.checkpoint.load(tmp_path / "model_epoch=0_iteration=1.pt", later.trainer)


def test_what_a_killed_run_left_half_written_is_removed_at_the_next_start(tmp_path):
    for name in ("model_epoch=3.pt.partial", "model.pt.partial", "other_epoch=1.pt.partial", "model_epoch=3.pt.bak"):
        (tmp_path / name).touch()
    Run(tmp_path, [None]).run()
    assert files(tmp_path) == ["model_epoch=1.pt", "model_epoch=3.pt.bak", "other_epoch=1.pt.partial"]


def test_processes_that_do_not_write_go_on_from_what_the_first_one_wrote(tmp_path):
    run = stopped(tmp_path, [None, None], at=3, writes=False)
    assert files(tmp_path) == []
    stopped(tmp_path, [None, None], at=3)
    run.checkpoint.load(tmp_path / "model_epoch=1_iteration=3.pt", run.trainer)
    assert run.trainer.state.iteration == 3


def test_a_damaged_file_that_was_named_is_an_error(tmp_path):
    (tmp_path / "model_epoch=1.pt").write_bytes(b"PK")
    run = Run(tmp_path, [None, None])
    with pytest.raises(ValueError, match=r"model_epoch=1\.pt is cut short or damaged; give an earlier one"):
        run.checkpoint.load(tmp_path / "model_epoch=1.pt", run.trainer)
