"""Damaged, closed and vanishing stores, through every reader: each fault names the store and the chunk or the box."""

import contextlib
import json
import os
import random
import shutil
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from tests.volumes import servers
from zarr.codecs import Crc32cCodec, GzipCodec, ZstdCodec

from scripts.transforms import LoadZarrPatchd
from scripts.volumes import CorruptChunkError, StackedVolume, open_volume, read_tolerant

SHAPE = (16, 8, 8)
WHOLE = (0, 0, 0), SHAPE
CHECKED = {
    "crc": {"compressors": [ZstdCodec(), Crc32cCodec()]},
    "zstd with checksum": {"compressors": [ZstdCodec(level=1, checksum=True)]},
    "gzip": {"compressors": [GzipCodec()]},
    "shards": {"chunks": (4, 4, 4), "shards": (8, 8, 8), "compressors": [Crc32cCodec()]},
    "index first": {
        "chunks": (4, 4, 4),
        "shards": {"shape": (8, 8, 8), "index_location": "start"},
        "compressors": [Crc32cCodec()],
    },
}
"""Layouts with which a single wrong bit is found."""


@pytest.fixture(params=["tensorstore", "zarr-python", "http"])
def opened(request, monkeypatch):
    """Opens a local store by one of the readers, and gives what stands for its path in messages."""
    monkeypatch.setenv("POLYTOME_REMOTE_TRIES", "1")
    if request.param == "zarr-python":
        monkeypatch.setattr("scripts.volumes.tensorstore_source.may_use_tensorstore", lambda *_: False)
    with contextlib.ExitStack() as exits:

        def open_here(path):
            if request.param != "http":
                return open_volume(path)
            server = exits.enter_context(servers.web_server(path.parent))
            return open_volume(f"{server.address}/{path.name}")

        yield open_here


def write(path, **options):
    data = np.random.default_rng(0).integers(1, 60_000, SHAPE).astype("u2")
    zarr.create_array(path, data=data, **({"chunks": (8, 8, 8)} | options))
    return data


CHUNK = r"x\.zarr: chunk 'c/1/0/0' \(stored voxels \[(8|12):1[26], \S+, \S+\]\) cannot be read: "


@pytest.mark.parametrize("layout", CHECKED.values(), ids=CHECKED)
def test_flipped_bits_are_found_and_their_chunk_is_named(tmp_path, opened, layout):
    write(tmp_path / "x.zarr", **layout)
    chunk = tmp_path / "x.zarr" / "c" / "1" / "0" / "0"
    content, draw = chunk.read_bytes(), random.Random(0)
    volume = opened(tmp_path / "x.zarr")
    body = range(12, len(content) - 8) if "gzip" in str(layout) else range(len(content))  # gzip's header says little
    for at in draw.sample(body, 12):
        chunk.write_bytes(content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :])
        with pytest.raises(CorruptChunkError, match=CHUNK):
            volume.read(*WHOLE)
        assert volume.read((0, 0, 0), (8, 8, 8)).all()  # the other one is whole
    chunk.write_bytes(content)
    assert volume.read(*WHOLE).all()


CUT = {"chunk": {}, "raw": {"compressors": None}, "shard": CHECKED["shards"], "index first": CHECKED["index first"]}


@pytest.mark.parametrize("layout", CUT.values(), ids=CUT)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_file_that_is_cut_short_is_named(tmp_path, opened, layout, share):
    write(tmp_path / "x.zarr", **layout)
    chunk = tmp_path / "x.zarr" / "c" / "1" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[: int(share * chunk.stat().st_size)])
    volume = opened(tmp_path / "x.zarr")
    with pytest.raises(CorruptChunkError, match=CHUNK):
        volume.read(*WHOLE)
    block, faults = read_tolerant(volume, *WHOLE)
    assert block[:, :8].all()
    assert 1 <= len(faults) <= 8
    assert (block == 0).sum() == len(faults) * (4**3 if "shards" in layout else 8**3)  # what is lost, and no more


@pytest.mark.parametrize("codec", ["gzip", "blosc", "zstd"])
def test_chunks_of_another_codec_than_the_metadata_say(tmp_path, opened, codec):
    write(tmp_path / "x.zarr", compressors=GzipCodec() if codec == "zstd" else ZstdCodec())
    document = tmp_path / "x.zarr" / "zarr.json"
    content = json.loads(document.read_text())
    settings = {
        "gzip": {"level": 5},
        "zstd": {"level": 1, "checksum": False},
        "blosc": {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 2, "blocksize": 0},
    }
    content["codecs"][-1] = {"name": codec, "configuration": settings[codec]}
    document.write_text(json.dumps(content))
    with pytest.raises(CorruptChunkError, match=r"x\.zarr: chunk 'c/0/0/0' \(stored voxels \[0:8, 0:8, 0:8\]\)"):
        opened(tmp_path / "x.zarr").read(*WHOLE)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_store_that_is_gone_is_not_taken_for_empty(tmp_path, opened, zarr_format):
    data = write(tmp_path / "x.zarr", zarr_format=zarr_format)
    volume = opened(tmp_path / "x.zarr")
    np.testing.assert_array_equal(volume.read(*WHOLE)[0], data)
    shutil.rmtree(tmp_path / "x.zarr")
    with pytest.raises(FileNotFoundError, match=r"x\.zarr is gone: .* while stored voxels \[8:16, 0:8, 0:8\] are read"):
        volume.read((8, 0, 0), (8, 8, 8))
    with pytest.raises(FileNotFoundError, match=r"x\.zarr is gone"):  # it is no damaged chunk, either
        read_tolerant(volume, *WHOLE)


def test_chunks_that_were_never_stored_are_still_empty(tmp_path, opened):
    zarr.create_array(tmp_path / "x.zarr", shape=SHAPE, chunks=(8, 8, 8), dtype="f4", fill_value=np.nan)
    assert np.isnan(opened(tmp_path / "x.zarr").read(*WHOLE)).all()


def test_a_store_that_is_gone_ends_the_loading_of_patches(tmp_path):
    write(tmp_path / "x.zarr")
    load = LoadZarrPatchd("image")
    row = {"image": str(tmp_path / "x.zarr"), "start": [0, 0, 0], "size": [8, 8, 8]}
    assert load(row)["image"].shape == (1, 8, 8, 8)
    shutil.rmtree(tmp_path / "x.zarr")
    with pytest.raises(FileNotFoundError, match=r"x\.zarr is gone: .* while stored voxels \[8:16, 0:8, 0:8\] are read"):
        load(row | {"start": [8, 0, 0]})


def test_a_part_of_a_stack_that_is_gone_is_named(tmp_path):
    for name in ("x", "y"):
        write(tmp_path / f"{name}.zarr")
    stack = StackedVolume([open_volume(tmp_path / f"{name}.zarr") for name in "xy"])
    shutil.rmtree(tmp_path / "y.zarr")
    with pytest.raises(FileNotFoundError, match=r"y\.zarr is gone"):
        stack.read(*WHOLE)


def test_an_uncompressed_file_that_is_gone_is_named(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.ones(SHAPE, "u1"), np.eye(4)), tmp_path / "x.nii")
    volume = open_volume(tmp_path / "x.nii")
    (tmp_path / "x.nii").unlink()
    for read in (volume.read, lambda *box: read_tolerant(volume, *box)):
        with pytest.raises(FileNotFoundError, match=r"x\.nii cannot be opened: No such file"):
            read((0, 0, 0), (8, 8, 16))


@pytest.fixture
def as_nobody():
    """Calls what follows as a user who owns nothing; root may read everything."""
    if not hasattr(os, "seteuid") or os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.fixture
def closed(tmp_path_factory):
    """Stores and files that everybody may see, and nobody may read, in part or whole."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    write(folder / "chunk.zarr")
    write(folder / "metadata.zarr")
    nibabel.save(nibabel.Nifti1Image(np.ones(SHAPE, "u1"), np.eye(4)), folder / "x.nii")
    tifffile.imwrite(folder / "x.tif", np.ones(SHAPE, "u1"), photometric="minisblack")
    np.save(folder / "x.npy", np.ones(SHAPE, "u1"))
    np.savez(folder / "x.npz", np.ones(SHAPE, "u1"))
    for path in ("chunk.zarr/c/1/0/0", "metadata.zarr/zarr.json", "x.nii", "x.tif", "x.npy", "x.npz"):
        (folder / path).chmod(0)
    yield folder
    shutil.rmtree(folder)


def test_a_chunk_that_may_not_be_read_is_no_damage(closed, as_nobody):
    volume = open_volume(closed / "chunk.zarr")
    for read in (volume.read, lambda *box: read_tolerant(volume, *box)):
        with pytest.raises(PermissionError, match=r"chunk\.zarr: chunk 'c/1/0/0' cannot be opened: Permission denied"):
            read(*WHOLE)
    assert volume.read((0, 0, 0), (8, 8, 8)).all()


@pytest.mark.parametrize("name", ["metadata.zarr", "x.nii", "x.tif", "x.npy", "x.npz"])
def test_what_may_not_be_read_is_named(closed, as_nobody, name):
    with pytest.raises((PermissionError, ValueError), match=rf"(?=.*{name})(?=.*Permission denied)"):
        open_volume(closed / name)
