"""File systems that do not answer: pipes that nobody writes to stand for them."""

import logging
import os
import threading

import nibabel
import numpy as np
import pytest
import zarr

from scripts.volumes import StackedVolume, StalledError, open_volume
from scripts.volumes.nifti import NiftiSource
from scripts.volumes.stalls import SLOWEST, TIMEOUT_SECONDS, in_thread, in_time, timeout

BOX = (0, 0, 0), (2, 3, 4)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setenv("POLYTOME_READ_TIMEOUT", "0.5")


@pytest.fixture
def data():
    return np.random.default_rng(0).integers(1, 99, (8, 8, 8)).astype("u1")


@pytest.fixture
def store(tmp_path, data):
    zarr.create_array(tmp_path / "x.zarr", data=data, chunks=(4, 8, 8))
    return tmp_path / "x.zarr"


@pytest.fixture(params=["tensorstore", "zarr-python"])
def reader(request, monkeypatch):
    if request.param == "zarr-python":
        monkeypatch.setattr("scripts.volumes.tensorstore_source.may_use_tensorstore", lambda *_: False)
    return request.param


class Heals(logging.Handler):
    """Gives a file back as soon as something is said about it."""

    def __init__(self, file, content):
        super().__init__()
        self.file, self.content = file, content

    def emit(self, record):
        self.file.unlink()
        self.file.write_bytes(self.content)


@pytest.fixture
def stall():
    """Makes a pipe of a file, from which reading never returns; `heals`: until the log speaks of it."""
    pipes, handlers, log = [], [], logging.getLogger("scripts.volumes.stalls")

    def make(file, heals=False):
        content = file.read_bytes()
        file.unlink()
        os.mkfifo(file)
        pipes.append(file)
        if heals:
            handlers.append(Heals(file, content))
            log.addHandler(handlers[-1])

    yield make
    for handler in handlers:
        log.removeHandler(handler)
    for pipe in pipes:
        if pipe.is_fifo():  # let those go who wait
            os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))


def test_a_chunk_that_does_not_come_is_said_with_store_and_box(store, reader, stall):
    volume = open_volume(store)
    stall(store / "c" / "1" / "0" / "0")
    said = r"no answer in 2 tries of 0\.5 s\. .*POLYTOME_READ_TIMEOUT"
    with pytest.raises(StalledError, match=rf"x\.zarr: stored voxels \[4:6, 0:3, 0:4\]: .*x\.zarr\S*: {said}"):
        volume.read((4, 0, 0), (2, 3, 4))
    assert volume.read(*BOX).all()  # the other chunk is there


def test_a_chunk_that_comes_at_the_second_try_is_read(store, data, reader, stall, caplog):
    volume = open_volume(store)
    stall(store / "c" / "0" / "0" / "0", heals=True)
    np.testing.assert_array_equal(volume.read(*BOX)[0], data[:2, :3, :4])
    assert "no answer for 0.5 s; it is read once more" in caplog.text
    np.testing.assert_array_equal(volume.read((0, 0, 0), (8, 8, 8))[0], data)


def test_metadata_that_do_not_come_are_named(store, stall):
    stall(store / "zarr.json")
    with pytest.raises(StalledError, match=r"x\.zarr/zarr\.json: no answer in 2 tries of 0\.5 s"):
        open_volume(store)


def test_a_part_of_a_stack_is_named(store, stall):
    stack = StackedVolume([open_volume(store), open_volume(store)])
    stall(store / "c" / "0" / "0" / "0")
    with pytest.raises(StalledError, match=r"x\.zarr: stored voxels \[0:2, 0:3, 0:4\]"):
        stack.read(*BOX)


def test_a_file_that_does_not_come_is_named(tmp_path, data, monkeypatch):
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "x.nii")
    volume, is_over = open_volume(tmp_path / "x.nii"), threading.Event()
    monkeypatch.setattr(NiftiSource, "read_box", lambda *_: is_over.wait(60))
    with pytest.raises(StalledError, match=r"x\.nii: stored voxels \[0:4, 0:3, 0:2\]: no answer in 2 tries of 0\.5 s"):
        volume.read(*BOX)
    monkeypatch.setattr("scripts.volumes.formats.OPENERS", {".nii": lambda _: is_over.wait(60)})
    monkeypatch.setattr("scripts.volumes.volume._SLOW_TO_OPEN", 2 * SLOWEST)
    with pytest.raises(StalledError, match=r"x\.nii: no answer in 2 tries of 1 s"):
        open_volume(tmp_path / "x.nii")
    is_over.set()


def test_large_reads_are_given_more_time():
    assert [timeout(n) / 0.5 for n in (0, 1, SLOWEST, SLOWEST + 1, 10 * SLOWEST)] == pytest.approx([1, 1, 1, 2, 10])


def test_errors_and_results_come_through_as_they_are():
    assert in_time("x", in_thread(lambda: 7)) == 7
    with pytest.raises(KeyError, match="gone"):
        in_time("x", in_thread(lambda: {}["gone"]))


def test_what_a_store_below_has_waited_for_is_not_waited_for_again():
    calls = []

    def read(_):
        calls.append(1)
        raise StalledError("below")

    with pytest.raises(StalledError, match="below"):
        in_time("x", read)
    assert len(calls) == 1


@pytest.mark.parametrize(("value", "expected"), [("soon", "got 'soon'"), ("0", "at least 0.01, got '0'")])
def test_settings_that_do_not_fit(monkeypatch, value, expected):
    monkeypatch.setenv("POLYTOME_READ_TIMEOUT", value)
    with pytest.raises(ValueError, match=f"POLYTOME_READ_TIMEOUT: expected .*{expected}"):
        timeout()


def test_by_default_it_is_minutes(monkeypatch):
    monkeypatch.delenv("POLYTOME_READ_TIMEOUT")
    assert timeout() == TIMEOUT_SECONDS == 300
