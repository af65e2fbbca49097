"""Every way to start the bundle, on a small phantom: train, go on, score, predict; and what the configs promise."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.utils import set_determinism
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.bundle.prepared_python import prepared_python
from tests.bundle.running import BUNDLE, folders, options, read_history, run

from scripts.volumes import open_volume
from scripts.workflows import phantom

TRAIN = BUNDLE / "configs" / "train.json"
EVALUATE = BUNDLE / "configs" / "evaluate.json"
INFERENCE = BUNDLE / "configs" / "inference.json"

SIZE = 64

NETWORK = {"patch_size": [16, 16, 16], "features_per_stage": [16, 16], "n_blocks_per_stage": [1, 1]}

SHORT = {"max_epochs": 1, "max_steps_per_epoch": 3, "max_val_steps_per_epoch": 1000, "device": "cpu", **NETWORK}
"""Validates on all that there is, so that scores can be compared between runs."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a phantom where the configs look for it."""
    folder = tmp_path_factory.mktemp("data")
    phantom(folder / "phantom.zarr", size=SIZE, n_blocks=2, block=32)
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a training of one epoch, started by `run training`."""
    root = tmp_path_factory.mktemp("trained")
    run("training", *settings(root, data), configs=["configs/train.json"])
    return root


def settings(root: Path, data: Path, **changes: object) -> list[str]:
    """Command-line options of a short training that writes to `root`."""
    return options(**{**folders(root), "dataset_dir": data, **SHORT, **changes})


def weights_file(root: Path) -> Path:
    return root / "models" / "model.pt"


def test_training_leaves_weights_history_and_pictures(trained: Path) -> None:
    assert [(row["epoch"], row["iteration"]) for row in read_history(trained)] == [("1", "3")]
    assert len(list((trained / "models").glob("model_epoch=1_score=0.*.pt"))) == 1
    assert (trained / "output" / "history.png").is_file()
    network = ConfigParser(ConfigParser.load_config_files([str(INFERENCE), str(trained / "output" / "network.json")]))
    network.get_parsed_content("network_def").load_state_dict(torch.load(weights_file(trained), weights_only=True))
    assert {path.suffix for path in (trained / "output" / "previews").glob("epoch_0001.*")} == {".png", ".gif"}
    curves = EventAccumulator(str(trained / "output" / "tensorboard"))
    curves.Reload()
    wanted = {"train_loss", "train_total", "train_sheet", "train_normals", "score", "sheet_dice", "normals_angle"}
    assert wanted <= set(curves.Tags()["scalars"])


@pytest.mark.long
def test_a_finished_training_is_not_begun_anew(data: Path, trained: Path) -> None:
    words = ["-m", "monai.bundle", "run", *settings(trained, data, load_model="latest")]
    done = subprocess.run(
        [sys.executable, *map(str, words), "--config_file", str(TRAIN)],
        cwd=BUNDLE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "is of epoch 1, and max_epochs is 1: raise max_epochs to go on" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(read_history(trained)) == 1


@pytest.mark.parametrize("normalization", ["zscore", "zscore_volume"])
def test_a_corrupt_chunk_ends_the_run_with_one_message(data: Path, tmp_path: Path, normalization: str) -> None:
    """While batches are loaded, or before, when the volume is measured."""
    shutil.copytree(data / "phantom.zarr", tmp_path / "phantom.zarr")
    (tmp_path / "phantom.zarr" / "raw" / "0" / "c" / "0" / "0" / "0").write_bytes(b"broken")
    words = ["-m", "monai.bundle", "run", "training", *settings(tmp_path, tmp_path, normalization=normalization)]
    done = subprocess.run(
        [prepared_python(), *map(str, words), "--config_file", str(TRAIN)],
        cwd=BUNDLE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{tmp_path / 'phantom.zarr' / 'raw' / '0'}: chunk 'c/0/0/0'" in done.stderr
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_started_without_run_id_a_resumed_training_goes_on_at_the_next_epoch(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    run(*settings(tmp_path, data, load_model="latest", max_epochs=2), configs=["configs/train.json"])
    before, rows = read_history(trained), read_history(tmp_path)
    assert rows[:1] == before
    assert [(row["epoch"], row["iteration"]) for row in rows] == [("1", "3"), ("2", "6")]


@pytest.mark.long
def test_from_another_directory_with_workers_weights_start_at_the_first_epoch(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    run(
        "training",
        *settings(tmp_path, data, bundle_root=BUNDLE, num_workers=2, weights=weights_file(trained), learning_rate=0.0),
        configs=[TRAIN],
        cwd=tmp_path,
    )
    (row,), (before,) = read_history(tmp_path), read_history(trained)
    assert (row["epoch"], row["iteration"]) == ("1", "3")
    assert float(row["val_score"]) == pytest.approx(float(before["val_score"]), rel=1e-4)
    # a learning rate of 0 leaves them as they were
    old, new = (torch.load(weights_file(root), weights_only=True) for root in (trained, tmp_path))
    assert all(torch.equal(old[name], new[name]) for name in old)


def test_evaluation_writes_the_scores_that_training_reported(data: Path, trained: Path, tmp_path: Path) -> None:
    run(
        "evaluating",
        *settings(tmp_path, data, weights=weights_file(trained)),
        configs=["configs/train.json", "configs/evaluate.json"],
    )
    scores = json.loads((tmp_path / "output" / "evaluation" / "scores.json").read_text())
    (row,) = read_history(trained)
    reported = {key.removeprefix("val_"): float(value) for key, value in row.items() if key.startswith("val_")}
    assert {"score", "sheet_dice", "normals_angle"} <= scores.keys()
    assert {key: np.nan if value is None else value for key, value in scores.items()} == pytest.approx(
        reported, rel=1e-4, nan_ok=True
    )


def test_both_ways_of_starting_inference_write_the_same(data: Path, trained: Path, tmp_path: Path) -> None:
    configs = ["configs/inference.json", trained / "output" / "network.json"]
    common = {"input": data / "phantom.zarr" / "raw", "weights": weights_file(trained), "device": "cpu"}
    run("inference", *options(**common, output=tmp_path / "a.zarr"), configs=configs)
    run(*options(**common, output=tmp_path / "b.zarr"), configs=configs)
    source = open_volume(common["input"])
    for target, channels in (("sheet", 1), ("normals", 3)):
        a, b = (open_volume(tmp_path / name / target) for name in ("a.zarr", "b.zarr"))
        assert a.shape == (channels, SIZE, SIZE, SIZE)
        assert (a.spacing, a.translation, a.unit) == (source.spacing, source.translation, source.unit)
        first, second = (volume.read((0, 0, 0), volume.spatial_shape) for volume in (a, b))
        assert first.min() < first.max()
        np.testing.assert_array_equal(first, second)


@pytest.fixture
def seeds():
    """Leave the generators as they were found: the configs seed them."""
    yield
    set_determinism(None)


def initialized(config: Path, root: Path, data: Path, kind: str, **changes: object) -> ConfigWorkflow:
    """A workflow in this process, as far as its first batch."""
    overrides = {**folders(root), "bundle_root": str(BUNDLE), "dataset_dir": str(data), **NETWORK, "device": "cpu"}
    workflow = ConfigWorkflow(
        config_file=str(config), workflow_type=kind, logging_file=False, **{**overrides, **changes}
    )
    workflow.initialize()
    return workflow


@pytest.mark.usefixtures("seeds")
def test_the_seed_decides_on_weights_order_and_augmentation(data: Path, tmp_path: Path) -> None:
    def begin(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        parser = initialized(TRAIN, tmp_path, data, "train", random_seed=seed).parser
        weights = torch.cat([p.detach().flatten() for p in parser.get_parsed_content("network").parameters()])
        return weights, next(iter(parser.get_parsed_content("train#dataloader")))["image"]

    first, again, other = begin(5), begin(5), begin(6)
    for value, same, different in zip(first, again, other, strict=True):
        assert torch.equal(value, same)
        assert not torch.equal(value, different)


@pytest.mark.usefixtures("seeds")
@pytest.mark.parametrize(("config", "kind"), [(TRAIN, "train"), (INFERENCE, "infer")], ids=["train", "inference"])
def test_every_property_that_monai_knows_resolves(config: Path, kind: str, data: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    parser = ConfigParser(ConfigParser.load_config_files(str(INFERENCE)) | NETWORK)
    torch.save(parser.get_parsed_content("network_def").state_dict(), weights)
    assert not initialized(config, tmp_path, data, kind, weights=str(weights)).check_properties()


@pytest.mark.usefixtures("seeds")
@pytest.mark.parametrize("configs", [[TRAIN], [TRAIN, EVALUATE], [INFERENCE]], ids=["train", "evaluate", "inference"])
def test_every_entry_of_every_config_can_be_built(configs: list[Path], data: Path, tmp_path: Path) -> None:
    parser = ConfigParser()
    parser.read_config(configs)
    parser.update({**folders(tmp_path), "bundle_root": str(BUNDLE), "dataset_dir": str(data), **NETWORK})
    done_when_run = {"initialize", "run", "training", "evaluating", "inference"}
    for key in parser.config:
        if key not in done_when_run:
            parser.get_parsed_content(key)
    engines = [engine for engine in ("train#trainer", "validate#evaluator", "evaluator") if engine in parser]
    assert len(engines) == (1 if configs == [INFERENCE] else 2)
    for engine in engines:
        assert callable(parser.get_parsed_content(engine).run)


def test_training_and_inference_agree_on_the_default_network() -> None:
    train, inference = (json.loads(path.read_text()) for path in (TRAIN, INFERENCE))
    assert train["network_def"] == inference["network_def"]
    used = {value[1:] for value in train["network_def"].values() if isinstance(value, str) and value.startswith("@")}
    assert len(used) == 20
    for key in used - {"spacing"}:  # training plans for the spacing of its volumes, inference for what is given
        assert train[key] == inference[key], key


def test_inference_normalises_windows_as_training_does_patches() -> None:
    train, inference = (json.loads(path.read_text()) for path in (TRAIN, INFERENCE))
    of_patches, of_windows = dict(train["intensity"]), dict(inference["window_transform"])
    assert of_patches.pop("keys") == "image"
    assert of_patches.pop("_target_") == of_windows.pop("_target_") + "d"
    assert of_patches.pop("statistics") == "@image_statistics"
    assert (
        of_windows.pop("statistics") == "$dict(foreground=@foreground_statistics)"
    )  # the rest is of the volume itself
    assert of_patches == of_windows
    for key in ("normalization", "nonfinite"):
        assert train[key] == inference[key]
