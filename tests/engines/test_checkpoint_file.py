"""Files that are whole or not there, and what is said where the disk does not take them."""

import random
import subprocess
import zipfile
from pathlib import Path

import pytest
import torch
from tests.bundle.prepared_python import prepared_python

from scripts.engines import CheckpointWriteError
from scripts.engines.checkpoint_file import is_whole, partial_of, tensor_bytes, write_atomically

STATE = {"weights": {"a": torch.arange(3000.0), "b": [torch.zeros(2, dtype=torch.int64)]}, "epoch": 3}

WITH_LIMIT = """
import resource, sys, torch
from pathlib import Path
from scripts.engines.checkpoint_file import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    write_atomically({"weights": torch.zeros(100_000)}, Path(sys.argv[1]))
except OSError as error:
    print(type(error).__name__, error)
"""


def test_what_was_written_comes_back_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "model.pt"
    write_atomically(STATE, path)
    assert torch.equal(torch.load(path, weights_only=True)["weights"]["a"], STATE["weights"]["a"])
    assert [one.name for one in path.parent.iterdir()] == ["model.pt"]
    assert is_whole(path)


def test_bytes_of_all_tensors():
    assert tensor_bytes(STATE) == 4 * 3000 + 8 * 2


@pytest.mark.parametrize("limit", [0, 1000, 200_000])
def test_a_file_that_outgrows_the_disk_leaves_the_one_before(tmp_path, limit):
    """The system refuses to let files grow, wherever in the archive that is."""
    path = tmp_path / "model.pt"
    write_atomically(STATE, path)
    before = path.read_bytes()
    bundle = Path(__file__).parents[2] / "bundle"
    words = [prepared_python(), "-c", WITH_LIMIT, str(path), str(limit)]
    done = subprocess.run(words, cwd=bundle, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(
        f"CheckpointWriteError {path} cannot be written: File too large; it takes about 400,000"
    )
    assert "make room, then go on from there with --load_model latest" in done.stdout
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["model.pt"]


def test_a_full_device(tmp_path):
    partial_of(tmp_path / "model.pt").symlink_to("/dev/full")
    with pytest.raises(CheckpointWriteError, match=r"model\.pt cannot be written: No space left on device") as caught:
        write_atomically(STATE, tmp_path / "model.pt")
    assert caught.value.__cause__ is not None
    assert list(tmp_path.iterdir()) == []


def test_errors_that_are_not_the_disk_s_stay_what_they_are(tmp_path, monkeypatch):
    def fail(content, file):
        raise RuntimeError("no such tensor")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(RuntimeError, match=r"^no such tensor$"):
        write_atomically(STATE, tmp_path / "model.pt")
    assert list(tmp_path.iterdir()) == []


def damaged(folder, rng):
    """A file with a few bytes changed, or cut short."""
    path = folder / f"{rng.random()}.pt"
    torch.save(STATE, path)
    data = bytearray(path.read_bytes())
    if rng.random() < 0.3:
        del data[rng.randrange(len(data)) :]
    for _ in range(rng.randrange(4)):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return path


def check_damage(folder, seeds):
    """A file that passes reads back with the same numbers."""
    for seed in seeds:
        path = damaged(folder, random.Random(seed))
        if is_whole(path):
            found = torch.load(path, weights_only=True)
            assert torch.equal(found["weights"]["a"], STATE["weights"]["a"]), seed
        path.unlink()


def test_what_passes_for_whole_can_be_read(tmp_path):
    check_damage(tmp_path, range(60))
    check_damage(tmp_path, [748])  # Python's own reader of archives takes no notice of this one


@pytest.mark.stress
def test_what_passes_for_whole_can_be_read_in_thousands(tmp_path):
    check_damage(tmp_path, range(60, 5060))


def test_a_zip_that_is_encrypted_is_not_whole(tmp_path):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", b"1")
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert not is_whole(path)
