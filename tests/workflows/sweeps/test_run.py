"""One run: its files, whether it is done, and what stays of a training."""

import json
from dataclasses import replace

import pytest
import torch
from tests.workflows.sweep_runner import train

from scripts.workflows.sweeps.run import Run, Training, shown


def run(folder, **changes):
    files = {"overlay.json": {"lr": 0.1, "list": [1, 2]}}
    return replace(Run("a", "seg", str(folder), files, (("x", "y"),), notes="Became: nothing\n"), **changes)


def test_states_from_nothing_to_done(tmp_path):
    one = run(tmp_path / "a")
    assert one.state == "to do"
    one.write()
    assert one.state == "to do"  # files are written by --dry_run, too
    assert json.loads((tmp_path / "a/overlay.json").read_text()) == {"lr": 0.1, "list": [1, 2]}
    assert (tmp_path / "a/notes.txt").read_text() == "Became: nothing\n"
    (tmp_path / "a/checkpoints").mkdir()
    assert one.state == "begun"
    one.mark_done()
    assert one.state == "done"


@pytest.mark.parametrize(
    "changes",
    [{"files": {"overlay.json": {"lr": 0.2, "list": [1, 2]}}}, {"commands": (("x", "z"),)}, {"digests": {"b": "1"}}],
    ids=["settings", "commands", "what it needs"],
)
def test_a_run_is_done_for_its_own_settings_alone(tmp_path, changes):
    one = run(tmp_path)
    one.write()
    one.mark_done()
    other = run(tmp_path, **changes)
    assert other.digest != one.digest
    assert other.state == "begun"
    assert "holds a run with other settings" in other.fault()
    assert run(tmp_path).fault() == ""


def test_what_differs_is_named(tmp_path):
    run(tmp_path).write()
    (tmp_path / "log.txt").touch()
    assert run(tmp_path).fault() == ""  # it goes on
    other = run(tmp_path, files={"overlay.json": {"lr": 0.2, "list": [1, 2]}})
    assert other.fault().endswith("holds a run with other settings (overlay.json: lr: 0.1 -> 0.2)")


def test_validations_in_the_folder_of_a_head_are_not_its_own(tmp_path):
    (tmp_path / "val_4").mkdir(parents=True)
    assert run(tmp_path).state == "to do"


def test_weights_of_every_checkpoint_without_the_prefix(tmp_path):
    files = {1: str(tmp_path / "weights/ckpt_5.pt"), 2: str(tmp_path / "weights/ckpt_10.pt")}
    training = Training(str(tmp_path / "checkpoints"), files, 2, "base.")
    assert not training.is_complete()
    train({"ckpt_dir": str(tmp_path / "checkpoints"), "max_epochs": 1})
    assert not training.is_complete()
    with pytest.raises(FileNotFoundError, match=r"checkpoints holds no model_epoch=2\*.pt; it has the epochs 1"):
        training.write_weights()
    train({"ckpt_dir": str(tmp_path / "checkpoints"), "max_epochs": 2})
    assert training.is_complete()
    training.write_weights()
    for epoch, file in files.items():
        weights = torch.load(file, weights_only=True)
        assert list(weights) == ["w"]
        assert weights["w"].tolist() == [epoch, epoch]


def test_commands_are_shown_as_one_writes_them():
    command = ("monai.bundle", "run", "training", "--config_file", "['configs/a.json', '/b.json']")
    assert shown(command) == "python -m monai.bundle run training --config_file \"['configs/a.json', '/b.json']\""
