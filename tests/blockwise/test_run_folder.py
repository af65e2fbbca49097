"""Files of a run, in a local folder, in memory and in a bucket."""

import pickle
import threading
import uuid

import pytest
from tests.volumes import servers

from scripts.blockwise import RunFolder


@pytest.fixture(scope="module")
def bucket():
    with servers.s3_server() as address:
        yield address


@pytest.fixture(params=["local", "memory", "s3"])
def folder(request, tmp_path, monkeypatch):
    """A folder that does not exist yet."""
    if request.param == "local":
        return RunFolder(tmp_path / "a" / "x.run")
    if request.param == "memory":
        return RunFolder(f"memory://runs/{uuid.uuid4().hex}")
    for name, value in {**servers.ACCESS, "AWS_ENDPOINT_URL": request.getfixturevalue("bucket")}.items():
        monkeypatch.setenv(name, value)
    return RunFolder(f"s3://bucket/{uuid.uuid4().hex}.run")


def test_what_is_written_reads_back_here_and_elsewhere(folder):
    folder.write("header.json", b"{}")
    folder.write("sums/0.0.1-2.3.4", bytes(range(256)) * 100)
    folder.write("header.json", b'{"a": 1}')
    for reader in (folder, RunFolder(folder.path), pickle.loads(pickle.dumps(folder))):
        assert reader.read("header.json") == b'{"a": 1}'
        assert reader.read("sums/0.0.1-2.3.4") == bytes(range(256)) * 100
        assert reader.read("sums/0.0.1-2.3.5") is None


def test_all_files_of_a_prefix_are_found(folder):
    files = {f"done/{n}.0.10": b"%d" % n for n in range(40)}
    for key, content in files.items():
        folder.write(key, content)
    folder.write("merged/1.0.10", b"other")
    assert folder.read_all("done/") == files
    assert folder.read_all("gone/") == {}


def test_a_folder_that_does_not_exist_is_empty(folder):
    assert folder.read("header.json") is None
    assert folder.read_all("done/") == {}
    folder.delete(["done/0.0.0"])
    folder.remove()


def test_what_is_deleted_is_gone_and_nothing_else(folder):
    for key in ("sums/a", "sums/b", "done/a"):
        folder.write(key, key.encode())
    folder.delete(["sums/a", "sums/never"])
    assert folder.read("sums/a") is None
    assert folder.read_all("") == {"sums/b": b"sums/b", "done/a": b"done/a"}
    folder.remove()
    assert folder.read("done/a") is None
    folder.write("done/a", b"again")
    assert folder.read_all("") == {"done/a": b"again"}


def test_the_local_folder_is_gone_once_it_is_removed(tmp_path):
    folder = RunFolder(tmp_path / "x.run")
    folder.write("done/0.0.0", b"")
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_never_seen_in_part(tmp_path):
    """One thread writes two contents in turn, another one reads meanwhile."""
    folder, contents = RunFolder(tmp_path), [b"a" * 3_000_000, b"b" * 1_000_000]
    folder.write("key", contents[0])
    is_over = threading.Event()

    def write():
        for n in range(60):
            folder.write("key", contents[n % 2])
        is_over.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while not is_over.is_set():
        content = folder.read("key")
        assert content in contents
        seen.append(content[:1])
    writer.join()
    assert set(seen) == {b"a", b"b"}


def test_a_write_that_was_cut_off_leaves_the_former_content(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    folder.write("done/0.0.0", b"former")
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", interrupted)
        for key in ("done/0.0.0", "done/0.0.1"):
            with pytest.raises(KeyboardInterrupt):
                folder.write(key, b"new")
    assert folder.read_all("") == {"done/0.0.0": b"former"}
    folder.write("done/0.0.1", b"new")
    assert folder.read_all("") == {"done/0.0.0": b"former", "done/0.0.1": b"new"}


def interrupted(*_):
    raise KeyboardInterrupt
