"""Ctrl-C and SIGTERM at every place of a training: it stops, saves, and goes on as if nothing had been."""

import json
import os
import signal
from fnmatch import fnmatch
from pathlib import Path

import pytest
from ignite.engine import Events
from tests.bundle.process_groups import Group, training_words
from tests.bundle.running import BUNDLE, read_history
from tests.bundle.trainings import EVERYTHING, checkpoints, differences, last_checkpoint, send, train, training

from scripts.engines import StoppedBySignal
from scripts.patches import PatchDataset
from scripts.workflows import phantom
from scripts.workflows.faults import root_message

TWO_EPOCHS = {**EVERYTHING, "max_epochs": 2, "dropout": 0.1, "lr_scheduler#total_iters": 3, "previews": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    phantom(folder / "phantom.zarr", size=64, n_blocks=2, block=32)
    return folder


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("undisturbed")
    train(root, data, **TWO_EPOCHS)
    return root


def stop(root, data, engine, event, number=signal.SIGINT, **changes):
    """Train until a signal that comes with an event of the trainer or of the evaluator."""

    def prepare(parser):
        parser.get_parsed_content(engine).add_event_handler(event, send(number))

    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(StoppedBySignal) as stopped:
        train(root, data, prepare, **TWO_EPOCHS | changes)
    assert stopped.value.code == 128 + number
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before
    assert json.loads((root / "output" / "run.json").read_text())["state"] == "stopped"


def assert_same(root, undisturbed):
    assert differences(last_checkpoint(root, 2), last_checkpoint(undisturbed, 2)) == [".config"]
    assert (root / "output" / "history.csv").read_text() == (undisturbed / "output" / "history.csv").read_text()
    assert len(read_history(root)) == 2
    assert checkpoints(root) == checkpoints(undisturbed)


TRAINER, EVALUATOR = "train#trainer", "validate#evaluator"
PLACES = {
    "first batch, half of a step": (TRAINER, Events.ITERATION_STARTED(once=1), "model_epoch=0_iteration=1.pt"),
    "second batch, a step": (TRAINER, Events.ITERATION_STARTED(once=2), "model_epoch=0_iteration=2.pt"),
    "last batch of an epoch": (TRAINER, Events.ITERATION_COMPLETED(once=3), "model_epoch=0_iteration=3.pt"),
    "validation": (EVALUATOR, Events.ITERATION_STARTED(once=2), "model_epoch=0_iteration=3.pt"),
    "end of a validation": (EVALUATOR, Events.EPOCH_COMPLETED, "model_epoch=1_score=*.pt"),
    "between epochs": (TRAINER, Events.EPOCH_STARTED(once=2), "model_epoch=1_score=*.pt"),
    "second epoch": (TRAINER, Events.ITERATION_STARTED(once=4), "model_epoch=1_iteration=4.pt"),
    "last batch of all": (TRAINER, Events.ITERATION_STARTED(once=6), "model_epoch=1_iteration=6.pt"),
}


OFTEN = ("first batch, half of a step", "validation")


@pytest.mark.parametrize(
    "place", [pytest.param(one, marks=[] if one in OFTEN else pytest.mark.stress) for one in PLACES]
)
def test_a_stopped_training_goes_on_to_the_same_bits(data, undisturbed, tmp_path, place):
    engine, event, file = PLACES[place]
    stop(tmp_path, data, engine, event)
    assert [fnmatch(left, file) for left in checkpoints(tmp_path)].count(True) == 1
    train(tmp_path, data, **TWO_EPOCHS, load_model="latest")
    assert_same(tmp_path, undisturbed)


@pytest.mark.long
def test_with_workers_and_sigterm_twice(data, undisturbed, tmp_path):
    stop(tmp_path, data, TRAINER, Events.ITERATION_STARTED(once=1), signal.SIGTERM, num_workers=1)
    again = {"load_model": "latest", "num_workers": 1}
    stop(tmp_path, data, EVALUATOR, Events.ITERATION_STARTED(once=1), signal.SIGTERM, **again)
    assert checkpoints(tmp_path) == ["model_epoch=0_iteration=3.pt"]  # that of the first stop is gone
    train(tmp_path, data, **TWO_EPOCHS | again)
    assert_same(tmp_path, undisturbed)


def stop_while_loading(monkeypatch, root, data, sample):
    """The signal comes while a sample is made."""
    made = []
    plain = PatchDataset._transform

    def transform(self, index):
        made.append(index)
        if len(made) == sample:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(self, index)

    with monkeypatch.context() as patched:
        begin = lambda parser: patched.setattr(PatchDataset, "_transform", transform)  # noqa: E731  # after the checks
        with pytest.raises(StoppedBySignal):
            train(root, data, begin, **TWO_EPOCHS)
    assert len(made) == sample


@pytest.mark.long
def test_a_loader_is_not_waited_for(data, undisturbed, tmp_path, monkeypatch):
    stop_while_loading(monkeypatch, tmp_path, data, sample=4)
    assert checkpoints(tmp_path) == ["model_epoch=0_iteration=1.pt"]
    train(tmp_path, data, **TWO_EPOCHS, load_model="latest")
    assert_same(tmp_path, undisturbed)


def test_before_the_first_batch_there_is_nothing_to_save(data, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", logger="scripts.engines")
    stop_while_loading(monkeypatch, tmp_path, data, sample=1)
    assert checkpoints(tmp_path) == []
    said = [record.getMessage() for record in caplog.records]
    assert "stopped by SIGINT in epoch 1 after iteration 0" in said
    assert "nothing to save: no batch is done" in said


def test_the_second_signal_ends_at_once_and_saves_nothing(data, tmp_path):
    def prepare(parser):
        trainer = parser.get_parsed_content(TRAINER)
        for _ in range(2):
            trainer.add_event_handler(Events.ITERATION_STARTED(once=2), send(signal.SIGINT))

    with pytest.raises(StoppedBySignal) as stopped:
        train(tmp_path, data, prepare, **TWO_EPOCHS)
    assert stopped.value.code == 130
    assert checkpoints(tmp_path) == []


def test_a_signal_that_is_ignored_stays_so(data, tmp_path):
    """As for jobs that a shell has started in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        train(
            tmp_path,
            data,
            lambda parser: parser.get_parsed_content(TRAINER).add_event_handler(
                Events.ITERATION_STARTED(once=1), send(signal.SIGINT)
            ),
            **TWO_EPOCHS | {"max_epochs": 1},
        )
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(read_history(tmp_path)) == 1


def test_a_stop_in_an_epoch_goes_on_with_epochs_as_long(data, tmp_path):
    stop(tmp_path, data, TRAINER, Events.ITERATION_STARTED(once=2))
    with pytest.raises(RuntimeError) as caught:
        train(tmp_path, data, **TWO_EPOCHS | {"max_steps_per_epoch": 5, "load_model": "latest"})
    said = root_message(caught.value)
    assert f"{tmp_path}/models/model_epoch=0_iteration=2.pt is of a stop in the midst of an epoch of 3 steps" in said
    assert "max_steps_per_epoch is 5: set it to 3 to go on" in said


def test_an_evaluation_ends_in_order(data, tmp_path, capfd):
    parser = training(tmp_path, data, **TWO_EPOCHS)
    parser.update(json.loads((BUNDLE / "configs" / "evaluate.json").read_text()) | {"weights": None})
    evaluator = parser.get_parsed_content("validate#evaluator")
    evaluator.add_event_handler(Events.ITERATION_STARTED, send(signal.SIGTERM))
    with pytest.raises(SystemExit) as stopped:
        parser.get_parsed_content("run")
    assert stopped.value.code == 128 + signal.SIGTERM
    assert capfd.readouterr().err.splitlines()[-1] == "terminated"


LONG = {"max_epochs": 1, "max_steps_per_epoch": 5000, "previews": False}


@pytest.mark.parametrize(
    ("number", "workers"),
    [pytest.param(signal.SIGINT, 1, marks=pytest.mark.long), pytest.param(signal.SIGTERM, 2, marks=pytest.mark.stress)],
)
def test_ctrl_c_in_a_terminal_reaches_all_processes_and_ends_without_noise(data, tmp_path, number, workers):
    group = Group(training_words(tmp_path, data, **LONG, num_workers=workers), tmp_path / "log")
    group.wait_for("first batch:")
    group.send(number)
    assert group.ended() == 128 + number
    said = group.printed()
    assert f"stopped by {number.name} in epoch 1 after iteration" in said
    assert "Traceback" not in said
    assert "terminating due to exception" not in said
    (file,) = checkpoints(tmp_path)
    assert file.startswith("model_epoch=0_iteration=")
    assert f"saved as {tmp_path}/models/{file}: load_model 'latest' goes on from there" in said


@pytest.mark.stress
def test_a_killed_training_takes_its_workers_with_it(data, tmp_path):
    group = Group(training_words(tmp_path, data, **LONG, num_workers=1), tmp_path / "log")
    group.wait_for("first batch:")
    group.process.kill()
    assert group.ended() == -signal.SIGKILL


def torchrun(root, data, **changes):
    words = training_words(root, data, **changes)
    words[-1] = str(["configs/train.json", "configs/multi_gpu_train.json"])
    return Group(["torch.distributed.run", "--nproc_per_node=2", "-m", *words], root.with_suffix(".log"))


@pytest.mark.stress
def test_two_processes_stop_together_and_go_on_to_the_same_bits(data, tmp_path):
    settings = {**TWO_EPOCHS, "max_steps_per_epoch": 30, "batch_size": 1, "dropout": 0.0}
    straight, parted = tmp_path / "straight", tmp_path / "parted"
    assert torchrun(straight, data, **settings).ended() == 0
    group = torchrun(parted, data, **settings)
    group.wait_for("first batch:")
    group.process.terminate()
    assert group.ended() != 0
    assert group.printed().count("stopped by SIGTERM in epoch") == 1
    again = torchrun(parted, data, **settings, load_model="latest")
    assert again.ended() == 0
    assert "and iteration" in again.printed()
    assert_same(parted, straight)
