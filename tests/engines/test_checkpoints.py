"""Where a run goes on, and what a checkpoint's name says."""

import os
from pathlib import Path

import pytest
import torch

from scripts.engines import find_checkpoint
from scripts.engines.checkpoints import CheckpointName, list_checkpoints


def write(folder, *names):
    """Small files, each a second younger than the one before."""
    for second, name in enumerate(names):
        torch.save({"name": name}, folder / name)
        os.utime(folder / name, (1000 + second, 1000 + second))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (CheckpointName("model", 12), "model_epoch=12.pt"),
        (CheckpointName("sheets.v2", 3, 0.83125), "sheets.v2_epoch=3_score=0.8313.pt"),
        (CheckpointName("model", 1, 0.0), "model_epoch=1_score=0.0000.pt"),
        (CheckpointName("model", 0, iteration=47), "model_epoch=0_iteration=47.pt"),
    ],
)
def test_names_are_read_as_they_are_written(name, text):
    assert str(name) == text
    parsed = CheckpointName.parse(Path("/any") / text, name.name)
    assert (parsed.epoch, parsed.score) == (name.epoch, None if name.score is None else float(f"{name.score:.4f}"))


@pytest.mark.parametrize(
    "file",
    [
        "model.pt",
        "model_epoch=x.pt",
        "model_epoch=9.pt.partial",
        "other_epoch=1.pt",
        "model_epoch=1_iteration=2_score=0.5000.pt",
    ],
)
def test_other_files_are_no_checkpoints(file):
    assert CheckpointName.parse(Path(file), "model") is None


def test_none_is_none(tmp_path):
    assert find_checkpoint(None, tmp_path) is None


def test_a_path_is_taken_as_it_is(tmp_path):
    path = tmp_path / "other.pt"
    path.touch()
    assert find_checkpoint(path, "/nowhere") == str(path)


def test_latest_was_written_last_whatever_its_number(tmp_path):
    write(tmp_path, "model_epoch=9.pt", "model_epoch=30_score=0.9000.pt", "model_epoch=10.pt", "other_epoch=99.pt")
    assert find_checkpoint("latest", tmp_path) == str(tmp_path / "model_epoch=10.pt")
    assert find_checkpoint("latest", tmp_path, "other") == str(tmp_path / "other_epoch=99.pt")
    assert [name.epoch for name in list_checkpoints(tmp_path, "model").values()] == [9, 30, 10]


def test_best_has_the_highest_score(tmp_path):
    write(tmp_path, "model_epoch=1_score=0.9000.pt", "model_epoch=2_score=0.8000.pt", "model_epoch=3.pt")
    assert find_checkpoint("best", tmp_path) == str(tmp_path / "model_epoch=1_score=0.9000.pt")


def test_a_path_without_file_is_an_error(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"checkpoint .*lost\.pt does not exist; give a path, 'latest', 'best' or null"
    ):
        find_checkpoint(tmp_path / "lost.pt", tmp_path)


@pytest.mark.parametrize(
    ("wanted", "said"), [("latest", "no model_epoch=N.pt in"), ("best", "no model_epoch=N_score=S.pt in")]
)
@pytest.mark.parametrize("exists", [True, False])
def test_where_there_is_none_the_start_is_fresh_and_said_aloud(tmp_path, caplog, wanted, said, exists):
    folder = tmp_path / "models"
    if exists:
        folder.mkdir()
        write(folder, "model.pt")
    assert find_checkpoint(wanted, folder) is None
    assert f"{said} {folder}: starting afresh" in caplog.text


@pytest.mark.parametrize("wanted", ["latest", "best"])
@pytest.mark.parametrize("damage", ["cut", "empty", "changed"])
def test_damaged_files_are_passed_over_by_name(tmp_path, caplog, wanted, damage):
    write(tmp_path, "model_epoch=1_score=0.7000.pt", "model_epoch=2_score=0.8000.pt")
    last = tmp_path / "model_epoch=2_score=0.8000.pt"
    whole = last.read_bytes()
    at = whole.index(b"model_epoch=2")  # the name that it holds
    last.write_bytes({"cut": whole[:-40], "empty": b"", "changed": whole[:at] + b"M" + whole[at + 1 :]}[damage])
    assert find_checkpoint(wanted, tmp_path) == str(tmp_path / "model_epoch=1_score=0.7000.pt")
    assert [record.getMessage() for record in caplog.records] == [f"{last} is cut short or damaged: it is passed over"]


def test_a_stop_counts_as_latest_and_never_as_best(tmp_path):
    write(tmp_path, "model_epoch=1_score=0.7000.pt", "model_epoch=1_iteration=14.pt")
    assert find_checkpoint("latest", tmp_path) == str(tmp_path / "model_epoch=1_iteration=14.pt")
    assert find_checkpoint("best", tmp_path) == str(tmp_path / "model_epoch=1_score=0.7000.pt")
