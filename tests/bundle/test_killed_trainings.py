"""Trainings that are killed at any moment go on from a whole checkpoint and end with the same bits."""

import json
import os
import random
import time
from pathlib import Path

import pytest
import torch
from tests.bundle.prepared_python import ended, prepared_process
from tests.bundle.running import BUNDLE, folders, options, read_history
from tests.bundle.trainings import EVERYTHING, SHORT, checkpoints, differences, last_checkpoint

from scripts.engines.checkpoint_file import is_whole
from scripts.viewers.dashboard_files import read_steps
from scripts.workflows import phantom

SIGKILL = -9

EPOCHS = {**SHORT, **EVERYTHING, "max_epochs": 8, "previews": False, "max_val_steps_per_epoch": 2}

PROGRAM = """
import os, runpy, signal, time

plain, calls = os.fsync, []

def fsync(descriptor):
    calls.append(descriptor)
    {disturbance}
    plain(descriptor)

os.fsync = fsync
runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
"""
"""A training in which something happens whenever a checkpoint, or the best weights, have been written to their
neighbouring file and are not yet in place."""

NOTHING = "pass"
SLOWLY = "time.sleep(0.3)"
KILLED = "if len(calls) == {}: os.ftruncate(descriptor, 1000); os.kill(os.getpid(), signal.SIGKILL)"


def started(root: Path, data: Path, disturbance: str = NOTHING, **changes: object):
    """A training in a process of its own."""
    words = options(**{**folders(root), "dataset_dir": data, **EPOCHS, **changes})
    words = ["run", "training", *words, "--config_file", "configs/train.json"]
    with (root.parent / f"{root.name}.log").open("a") as log, Path(os.devnull).open() as nothing:
        streams = [nothing.fileno(), log.fileno(), log.fileno()]
        program = ["-c", PROGRAM.format(disturbance=disturbance), *words]
        return prepared_process(program, str(BUNDLE), dict(os.environ), streams)


def printed(root: Path) -> str:
    return (root.parent / f"{root.name}.log").read_text()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    phantom(folder / "phantom.zarr", size=64, n_blocks=2, block=32)
    return folder


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """Root of a training that nobody killed, and the seconds that it took."""
    root = tmp_path_factory.mktemp("undisturbed") / "run"
    began = time.monotonic()
    assert ended(started(root, data), 300) == 0, printed(root)
    return root, time.monotonic() - began


def assert_no_file_is_torn(root: Path) -> None:
    """Whatever the moment, those who watch the run, and those who go on, read whole files."""
    output = root / "output"
    for name in ("run.json", "network.json", "patches.json", "intensities.json"):
        if (output / name).exists():
            assert isinstance(json.loads((output / name).read_text()), dict)
    if (output / "history.csv").exists():
        rows = read_history(root)
        assert [row["epoch"] for row in rows] == [str(n) for n in range(1, len(rows) + 1)]
        assert all(None not in row.values() for row in rows)
    if (output / "steps.csv").exists():
        assert [row[0] for row in read_steps(output / "steps.csv")]
    for path in (root / "models").glob("*.pt"):
        assert is_whole(path)


def assert_same(root: Path, undisturbed: Path) -> None:
    last = EPOCHS["max_epochs"]
    assert differences(last_checkpoint(root, last), last_checkpoint(undisturbed, last)) == [".config"]
    assert (root / "output" / "history.csv").read_text() == (undisturbed / "output" / "history.csv").read_text()
    best = [torch.load(one / "models" / "model.pt", weights_only=True) for one in (root, undisturbed)]
    assert differences(*best) == []
    assert checkpoints(root) == checkpoints(undisturbed)  # and nothing half-written beside


def go_on(root: Path, data: Path) -> None:
    assert ended(started(root, data, load_model="latest"), 300) == 0, printed(root)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(2, marks=pytest.mark.stress),
        pytest.param(5, marks=pytest.mark.long),
        pytest.param(7, marks=pytest.mark.stress),
    ],
)
def test_killed_while_a_checkpoint_is_written(data, undisturbed, tmp_path, call):
    root = tmp_path / "run"
    assert ended(started(root, data, KILLED.format(call)), 300) == SIGKILL
    assert [path.stat().st_size for path in (root / "models").glob("*.partial")] == [1000]
    assert_no_file_is_torn(root)
    go_on(root, data)
    assert_same(root, undisturbed[0])


def kill_and_go_on(root, data, undisturbed, times, rng):
    for number in range(times):
        process = started(root, data, rng.choice([NOTHING, SLOWLY]), load_model="latest")
        time.sleep(rng.uniform(0.2, 1.2) * undisturbed[1])
        process.kill()
        assert ended(process, 300) in (SIGKILL, 0, 1), number  # 1: there was nothing left to do
        assert_no_file_is_torn(root)
    if not checkpoints(root) or f"epoch={EPOCHS['max_epochs']}" not in checkpoints(root)[-1]:
        go_on(root, data)
    assert_same(root, undisturbed[0])


@pytest.mark.long
def test_killed_at_a_random_moment(data, undisturbed, tmp_path):
    kill_and_go_on(tmp_path / "run", data, undisturbed, 1, random.Random())


@pytest.mark.stress
def test_killed_ten_times_at_random_moments(data, undisturbed, tmp_path):
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for place in range(2):
        kill_and_go_on(tmp_path / f"run{place}", data, undisturbed, 5, rng)


@pytest.mark.long
def test_a_checkpoint_that_was_cut_short_is_passed_over(data, undisturbed, tmp_path):
    """As after a power failure on a disk that had not kept its promise."""
    root = tmp_path / "run"
    changes = {"keep_last": 9, "max_epochs": 3, "lr_scheduler#total_iters": 8}
    assert ended(started(root, data, **changes), 300) == 0, printed(root)
    last = root / "models" / checkpoints(root)[-1]
    os.truncate(last, last.stat().st_size // 2)
    go_on(root, data)
    assert f"{last} is cut short or damaged: it is passed over" in printed(root)
    assert "going on after epoch 2 of 8" in printed(root)
    assert_same(root, undisturbed[0])
