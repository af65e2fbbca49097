"""Runs whose disk is full or closed to them, and what stays."""

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from tests.inferers.runs import TwoOutputs, snapshot
from tests.inferers.small_run import ARGUMENTS, BLOCKS, finished_blocks, stopped

from scripts.blockwise import RunFolder
from scripts.inferers import ZarrSlidingWindowInferer
from scripts.inferers.store import PredictionStore
from scripts.volumes import OmeZarrWriter, open_volume

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("owner", "method", "key", "call"),
    [
        (PredictionStore, "write", None, 3),
        (PredictionStore, "write", None, 25),
        (RunFolder, "write", "sums/", 20),
        (RunFolder, "write", "done/", 7),
        (OmeZarrWriter, "write_level_block", None, 5),
    ],
)
def test_a_full_disk_is_said_and_the_next_start_goes_on(
    small_volume, whole_bytes, tmp_path, owner, method, key, call, monkeypatch
):
    arguments, original, calls = {**ARGUMENTS, "output": tmp_path / "out"}, getattr(owner, method), []

    def full(self, *args, **options):
        if key is None or args[0].startswith(key):
            calls.append(args)
            if len(calls) >= call:
                raise FULL
        return original(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, full)
        with pytest.raises(OSError, match=r"out\.zarr: no space left on the device\.") as caught:
            ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())
    assert caught.value.errno == errno.ENOSPC
    done = finished_blocks(tmp_path / "out.run")
    message = f"{done} of {BLOCKS} blocks are finished and stay; free some space and start the same run again"
    assert message in str(caught.value)
    inferer = ZarrSlidingWindowInferer(**arguments)
    inferer(small_volume, TwoOutputs())
    assert inferer.totals.resumed >= done
    assert snapshot(tmp_path / "out.zarr") == whole_bytes


def test_other_errors_of_the_system_keep_their_words(small_volume, tmp_path, monkeypatch):
    def denied(*_):
        raise PermissionError(errno.EACCES, "Permission denied", "out.zarr/sheet")

    monkeypatch.setattr(PredictionStore, "write", denied)
    with pytest.raises(PermissionError, match=r"Permission denied: 'out\.zarr/sheet'"):
        ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "out")(small_volume, TwoOutputs())


def test_sums_that_are_gone_stop_the_run_with_their_name(small_volume, tmp_path):
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    stopped(small_volume, arguments)
    shutil.rmtree(tmp_path / "out.run" / "sums")
    with pytest.raises(FileNotFoundError, match=r"out\.run/sums/\S+ is gone: .* Start anew with overwrite = true"):
        ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())
    ZarrSlidingWindowInferer(**arguments, overwrite=True)(small_volume, TwoOutputs())


@pytest.fixture
def small_disk(tmp_path):
    """A folder that holds 400 kB and no more."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full_is_said_and_with_space_the_run_goes_on(
    small_volume, whole_bytes, tmp_path, small_disk
):
    arguments = {**ARGUMENTS, "scratch": small_disk}
    filler = small_disk / "filler"
    filler.write_bytes(bytes(250_000))
    with pytest.raises(OSError, match=r"out\.zarr: no space left on the device\. \d+ of \d+ blocks are fin") as caught:
        ZarrSlidingWindowInferer(**arguments, output=tmp_path / "out")(small_volume, TwoOutputs())
    assert caught.value.errno == errno.ENOSPC
    filler.unlink()
    inferer = ZarrSlidingWindowInferer(**arguments, output=tmp_path / "out")
    inferer(small_volume, TwoOutputs())
    assert inferer.totals.resumed > 0
    assert snapshot(tmp_path / "out.zarr") == whole_bytes


@pytest.fixture
def without_rights():
    """Calls a function as a user who owns nothing; root may do everything."""
    if not hasattr(os, "seteuid"):
        pytest.skip("the system has no users")

    @contextlib.contextmanager
    def drop():
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(user)

    return drop


@pytest.fixture
def folders(small_volume):
    """A volume, a folder to which everybody may write, and one to which nobody may."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shutil.copytree(small_volume.path, folder / "in.zarr")
        for path, rights in ((folder, 0o755), (folder / "open", 0o777), (folder / "closed", 0o555)):
            path.mkdir(exist_ok=True)
            path.chmod(rights)
        yield folder
        (folder / "closed").chmod(0o755)


@pytest.mark.parametrize("closed", ["output", "scratch"])
def test_a_folder_that_may_not_be_written_is_named_and_nothing_is_predicted(folders, without_rights, closed):
    places = {"output": folders / "open" / "out", "scratch": folders / "open", closed: folders / "closed" / "out"}
    network, volume = TwoOutputs(), open_volume(folders / "in.zarr")
    with without_rights(), pytest.raises(PermissionError, match=rf"{folders}/closed/out"):
        ZarrSlidingWindowInferer(**ARGUMENTS, **places)(volume, network)
    assert network.seen == []
    assert list((folders / "closed").iterdir()) == list((folders / "open").iterdir()) == []
