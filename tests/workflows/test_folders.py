"""Folders that cannot be written to are found without writing."""

import os
import re
from pathlib import Path

import pytest

from scripts.workflows.folders import folder_faults


def test_folders_that_are_there_and_folders_that_can_be_made_are_no_fault(tmp_path):
    assert folder_faults({"output_dir": tmp_path, "ckpt_dir": tmp_path / "new" / "one"}) == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named_with_the_key(tmp_path):
    (tmp_path / "file").touch()
    (fault,) = folder_faults({"output_dir": tmp_path / "file" / "run", "ckpt_dir": tmp_path})
    assert fault.startswith(f"output_dir: cannot write to {tmp_path}/file/run: {tmp_path}/file is no folder; give a")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs Linux's file system of processes")
def test_a_file_system_that_takes_no_files():
    (fault,) = folder_faults({"ckpt_dir": "/proc"})
    assert re.fullmatch(r"ckpt_dir: cannot write to /proc: .+; give a folder .*", fault)


def test_a_folder_that_is_read_only(tmp_path, monkeypatch):
    """Who may do everything writes there all the same, so that the system's answer is given."""
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    try:
        (fault,) = folder_faults({"output_dir": tmp_path / "run"})
    finally:
        tmp_path.chmod(0o700)
    assert fault.startswith(f"output_dir: cannot write to {tmp_path}/run: {tmp_path} is read-only; give a folder")


def test_a_folder_whose_disk_is_full(tmp_path, monkeypatch):
    def full(dir):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    assert "No space left on device" in folder_faults({"output_dir": tmp_path})[0]
