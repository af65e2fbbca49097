"""Chunks: which are stored, and which are broken."""

import itertools
import os
import pickle
import sys

import numpy as np
import pytest
import zarr

from scripts.volumes import CorruptChunkError, open_volume

LAYOUTS = {
    "v3": {},
    "v3-dots": {"chunk_key_encoding": {"name": "default", "separator": "."}},
    "v3-v2keys": {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "v2-dots": {"zarr_format": 2},
    "v2-slashes": {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_stored_chunks_are_listed_and_clipped(tmp_path, layout):
    array = zarr.create_array(tmp_path / "x.zarr", shape=(2, 10, 9, 8), chunks=(1, 4, 4, 4), dtype="u1", **layout)
    volume = open_volume(tmp_path / "x.zarr")
    assert volume.stored_chunks() == []
    array[0, 9, 8, 7] = 1
    array[1, 9, 8, 7] = 1  # the same box in the other channel counts once
    array[1, 0, 5, 0] = 1
    assert volume.stored_chunks() == [((0, 4, 0), (4, 4, 4)), ((8, 8, 4), (2, 1, 4))]
    assert volume.chunks == (4, 4, 4)


def test_shards_are_the_boxes(tmp_path):
    array = zarr.create_array(tmp_path / "x.zarr", shape=(16, 16, 16), chunks=(4, 4, 4), shards=(8, 8, 8), dtype="u1")
    array[9, 1, 1] = 1
    volume = open_volume(tmp_path / "x.zarr")
    assert volume.stored_chunks() == [((8, 0, 0), (8, 8, 8))]
    assert volume.chunks == (4, 4, 4)


def test_only_the_chosen_time_counts(tmp_path):
    array = zarr.create_array(
        tmp_path / "x.zarr", shape=(3, 8, 8), chunks=(2, 4, 4), dtype="u1", dimension_names=["t", "y", "x"]
    )
    array[0, 0, 0] = 1
    array[2, 7, 7] = 1
    assert open_volume(tmp_path / "x.zarr", time=1).stored_chunks() == [((0, 0, 0), (1, 4, 4))]
    assert open_volume(tmp_path / "x.zarr", time=2).stored_chunks() == [((0, 4, 4), (1, 4, 4))]


def test_chunks_beyond_a_cut_array_do_not_count(tmp_path):
    array = zarr.create_array(tmp_path / "x.zarr", shape=(8, 8), chunks=(4, 4), dtype="u1")
    array[...] = 1
    text = (tmp_path / "x.zarr" / "zarr.json").read_text().replace('"shape": [\n    8,', '"shape": [\n    4,')
    (tmp_path / "x.zarr" / "zarr.json").write_text(text)
    assert open_volume(tmp_path / "x.zarr").stored_chunks() == [((0, 0, 0), (1, 4, 4)), ((0, 0, 4), (1, 4, 4))]


def test_fingerprint_follows_every_change(tmp_path):
    path = tmp_path / "x.zarr"
    array = zarr.create_array(path, shape=(8, 8), chunks=(4, 4), dtype="u1", compressors=None)
    array[0, 0] = 1
    seen = [open_volume(path).fingerprint()]
    assert open_volume(path).fingerprint() == seen[0]
    array[0, 0] = 2  # in place, same size
    chunk = path / "c" / "0" / "0"
    os.utime(chunk, ns=(1, 1))
    seen.append(open_volume(path).fingerprint())
    array[7, 7] = 2  # a new chunk
    os.utime(chunk, ns=(1, 1))
    seen.append(open_volume(path).fingerprint())
    array.attrs["polytome"] = {"scale": 2.0}
    seen.append(open_volume(path).fingerprint())
    seen.append(open_volume(path, spacing=[2, 2, 2]).fingerprint())
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("layout", "key", "box"),
    [
        pytest.param({"chunks": (4, 4, 4)}, "c/1/0/1", "4:8, 0:4, 4:6", id="v3"),
        pytest.param({"chunks": (4, 4, 4), "compressors": None}, "c/1/0/1", "4:8, 0:4, 4:6", id="raw"),
        pytest.param({"chunks": (4, 4, 4), "zarr_format": 2}, "1.0.1", "4:8, 0:4, 4:6", id="v2"),
        pytest.param({"chunks": (2, 2, 2), "shards": (4, 4, 4)}, "c/1/0/1", "4:6, 0:2, 4:6", id="shards"),
    ],
)
@pytest.mark.parametrize("damage", ["cut", "empty"])
def test_corrupt_chunk_is_named(tmp_path, layout, key, box, damage):
    path = tmp_path / "x.zarr"
    data = np.random.default_rng(0).integers(1, 9999, (8, 5, 6)).astype("u2")
    zarr.create_array(path, shape=data.shape, dtype="u2", **layout)[...] = data
    content = (path / key).read_bytes()
    (path / key).write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.read((0, 0, 0), (4, 5, 6))[0], data[:4])
    expected = rf"x\.zarr: chunk '{key}' \(stored voxels \[{box}\]\) cannot be read: .*damaged or cut short"
    with pytest.raises(CorruptChunkError, match=expected) as error:
        volume.read((0, 0, 0), (8, 5, 6))
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


def test_memory_store_through_fsspec(tmp_path):
    from zarr.storage import FsspecStore

    data = np.random.default_rng(0).integers(1, 99, (8, 8, 8)).astype("u1")
    data[:4] = 0
    store = FsspecStore.from_url("memory://volumes/x.zarr")
    zarr.create_group(store)
    array = zarr.create_array(store, name="0", shape=data.shape, chunks=(4, 4, 4), dtype="u1")
    array[...] = data
    zarr.open_group(store).attrs["ome"] = {
        "version": "0.5",
        "multiscales": [
            {
                "axes": [{"name": a, "type": "space"} for a in "zyx"],
                "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [3, 2, 1]}]}],
            }
        ],
    }
    for path in ("memory://volumes/x.zarr", "memory://volumes/x.zarr::0", "memory://volumes/x.zarr/0"):
        volume = open_volume(path)
        assert volume.spacing == (3.0, 2.0, 1.0)
        np.testing.assert_array_equal(volume.read((2, 0, 0), (6, 8, 8))[0], data[2:])
        assert volume.stored_chunks() == [((4, y, x), (4, 4, 4)) for y, x in itertools.product((0, 4), repeat=2)]
        assert len(volume.fingerprint()) == 64
    assert volume.name == "x/0"


def test_urls_that_cannot_be_opened(monkeypatch):
    with pytest.raises(
        ValueError, match=r"nosuch://b/x\.zarr: Protocol not known: nosuch; expected a local path or a URL"
    ):
        open_volume("nosuch://b/x.zarr")

    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(ImportError, match=r"s3://b/x\.zarr: .*pip install 'polytome\[remote\]'"):
        open_volume("s3://b/x.zarr")


def test_server_that_lists_nothing(monkeypatch):
    from zarr.storage import FsspecStore

    zarr.create_array(FsspecStore.from_url("memory://silent/x.zarr"), shape=(4, 4), chunks=(2, 2), dtype="u1")
    volume = open_volume("memory://silent/x.zarr")

    async def nothing(*_):
        for key in ():
            yield key

    monkeypatch.setattr(FsspecStore, "list_prefix", nothing)
    assert len(volume.stored_chunks()) == 4  # few: all are taken to be there
    monkeypatch.setattr("scripts.volumes.zarr_source._MOST_UNLISTED", 3)
    with pytest.raises(OSError, match=r"memory://silent/x\.zarr: the server lists no keys"):
        volume.stored_chunks()
