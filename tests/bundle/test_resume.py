"""Trainings that stop and go on, and trainings of several processes, against one that does all by itself."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.bundle.prepared_python import prepared_python
from tests.bundle.running import BUNDLE, command, folders, options, read_history, run, write_overlay
from tests.bundle.trainings import EVERYTHING, SHORT, differences, last_checkpoint

from scripts.workflows import phantom

SIX = {**EVERYTHING, "max_epochs": 6}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    phantom(folder / "phantom.zarr", size=64, n_blocks=2, block=32)
    return folder


def settings(root: Path, data: Path, **changes: object) -> list[str]:
    return options(**{**folders(root), "dataset_dir": data, **SHORT, **changes})


@pytest.mark.long
def test_six_epochs_are_three_and_three_more_to_the_last_bit(data: Path, tmp_path: Path) -> None:
    """Weights, their average, optimiser, schedule, what the loss has learnt, generators, best score, and the table."""
    straight, parted = tmp_path / "straight", tmp_path / "parted"
    run("training", *settings(straight, data, **SIX), configs=["configs/train.json"])
    first = {**EVERYTHING, "max_epochs": 3, "lr_scheduler#total_iters": 6}
    run("training", *settings(parted, data, **first), configs=["configs/train.json"])
    rest = {**SIX, "load_model": "latest", "num_workers": 1}
    said = run("training", *settings(parted, data, **rest), configs=["configs/train.json"])
    assert "going on after epoch 3 of 6" in said
    assert "max_epochs: 3 -> 6" in said
    one, other = last_checkpoint(straight, 6), last_checkpoint(parted, 6)
    assert differences(one, other) == [".config"]
    assert {"network", "average", "optimizer", "lr_scheduler", "loss", "random_state", "best_model"} <= one.keys()
    assert read_history(straight) == read_history(parted)


def dense(path: Path) -> Path:
    """One target that is known everywhere: means over processes are then means over the batch."""
    return write_overlay(
        path,
        targets={"sheet": {"channels": 1}},
        volumes=[
            {
                "image": "$@dataset_dir + '/phantom.zarr/raw'",
                "sheet": "$@dataset_dir + '/phantom.zarr/sheet'",
                "ref_label": "sheet",
            }
        ],
    )


def torchrun(*arguments: str | Path, configs: list[str | Path]) -> str:
    names = str([str(path) for path in configs])
    return command(
        *("torch.distributed.run", "--nproc_per_node=2", "-m", "monai.bundle", "run"),
        *(*arguments, "--config_file", names),
    )


@pytest.mark.long
def test_two_processes_train_like_one_with_twice_the_batch(data: Path, tmp_path: Path) -> None:
    overlay = dense(tmp_path / "dense.json")
    common = {"max_epochs": 3, "max_val_steps_per_epoch": 100}
    one, two = tmp_path / "one", tmp_path / "two"
    run("training", *settings(one, data, **common, batch_size=2), configs=["configs/train.json", overlay])
    configs = ["configs/train.json", overlay, "configs/multi_gpu_train.json"]
    said = torchrun("training", *settings(two, data, **common, batch_size=1), configs=configs)
    alone, shared = read_history(one), read_history(two)
    assert len(alone) == len(shared) == 3
    for a, b in zip(alone, shared, strict=True):
        assert {k: float(v) for k, v in a.items()} == pytest.approx({k: float(v) for k, v in b.items()}, rel=1e-4)
    # only the first process writes
    assert said.count("train 1/3: ") == said.count("settings:") == 1
    assert {path.name for path in (two / "models").iterdir()} == {path.name for path in (one / "models").iterdir()}
    scores = tmp_path / "scores"
    configs = ["configs/train.json", overlay, "configs/evaluate.json", "configs/multi_gpu_evaluate.json"]
    shown = {"weights": two / "models" / "model.pt", "output_dir": scores}
    torchrun("evaluating", *settings(two, data, **shown), configs=configs)
    written = (scores / "evaluation" / "scores.json").read_text()
    best = max(float(row["val_score"]) for row in shared)
    assert json.loads(written)["score"] == pytest.approx(best, rel=1e-4)


def test_faults_are_said_once_by_several_processes(data: Path, tmp_path: Path) -> None:
    words = ["torch.distributed.run", "--nproc_per_node=2", "-m", "monai.bundle", "run", "training"]
    config = str(["configs/train.json", "configs/multi_gpu_train.json"])
    done = subprocess.run(
        [prepared_python(), "-m", *words, *settings(tmp_path, data, patch_size=[15, 16, 16]), "--config_file", config],
        cwd=BUNDLE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stderr.count("the training cannot start, 1 fault") == 1
    assert "axis z has 15 voxels" in done.stderr
