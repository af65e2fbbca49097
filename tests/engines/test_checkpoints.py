"""Where a run goes on."""

import pytest

from scripts.engines import find_checkpoint


def test_none_is_none(tmp_path):
    assert find_checkpoint(None, tmp_path) is None


def test_a_path_is_taken_as_it_is(tmp_path):
    path = tmp_path / "other.pt"
    path.touch()
    assert find_checkpoint(path, "/nowhere") == str(path)


def test_last_is_the_highest_epoch_by_number(tmp_path):
    for name in (
        *("checkpoint_epoch=9.pt", "checkpoint_epoch=10.pt", "checkpoint_epoch=2.pt"),
        *("model.pt", "checkpoint_epoch=x.pt", "checkpoint_epoch=99.pt.part"),
    ):
        (tmp_path / name).touch()
    assert find_checkpoint("last", tmp_path) == str(tmp_path / "checkpoint_epoch=10.pt")


def test_a_path_without_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"checkpoint .*lost\.pt does not exist; give a path, 'last' or null"):
        find_checkpoint(tmp_path / "lost.pt", tmp_path)


@pytest.mark.parametrize("exists", [True, False])
def test_last_of_none_is_an_error(tmp_path, exists):
    folder = tmp_path / "models"
    if exists:
        folder.mkdir()
        (folder / "model.pt").touch()
    with pytest.raises(FileNotFoundError, match=rf"no checkpoint_epoch=N\.pt in {folder} to resume from; start with n"):
        find_checkpoint("last", folder)
