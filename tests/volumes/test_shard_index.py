"""Which chunks a shard holds, against brute force over the voxels."""

import itertools
import tracemalloc

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.codecs import BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, TransposeCodec
from zarr.storage import FsspecStore, LocalStore

from scripts.volumes import CorruptChunkError, open_volume

INDEX_BYTES = 16 * 2 * 2 * 2 + 4
SHAPE = (2, 10, 9, 8)


def brute_force(data, chunk=(4, 4, 4)):
    """Clipped boxes of chunks that hold a voxel which is not 0, in any channel."""
    boxes = []
    for start in itertools.product(*(range(0, n, c) for n, c in zip(data.shape[1:], chunk, strict=True))):
        size = tuple(min(c, n - low) for low, c, n in zip(start, chunk, data.shape[1:], strict=True))
        if data[:, *(slice(low, low + n) for low, n in zip(start, size, strict=True))].any():
            boxes.append((start, size))
    return boxes


def create(store, location="end", **options):
    shards = {"shape": (1, 8, 8, 8), "index_location": location}
    return zarr.create_array(store, shape=SHAPE, chunks=(1, 4, 4, 4), shards=shards, dtype="u1", **options)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9), st.integers(0, 8), st.integers(0, 7)), max_size=6),
    st.sampled_from(["start", "end"]),
    st.sampled_from(["folder", "memory"]),
)
@settings(max_examples=40, deadline=None)
def test_chunks_inside_shards(tmp_path_factory, voxels, location, kind):
    path = str(tmp_path_factory.mktemp("index") / "x.zarr")
    path = path if kind == "folder" else f"memory://{path.replace('/', '_')}"
    array = create(path if kind == "folder" else FsspecStore.from_url(path), location)
    data = np.zeros(SHAPE, "u1")
    for voxel in voxels:
        data[voxel] = array[voxel] = 7
    volume = open_volume(path)
    assert volume.stored_chunks(inside_shards=True) == brute_force(data)
    assert volume.stored_chunks() == brute_force(data, (8, 8, 8))


def test_only_the_index_is_read(tmp_path, monkeypatch):
    requests = []

    class Listening(LocalStore):
        async def get(self, key, prototype=None, byte_range=None):
            requests.append((key, byte_range))
            return await super().get(key, prototype, byte_range)

    for location in ("start", "end"):
        path = tmp_path / location
        create(path, location)[1, 0:4, 0:4, 0:4] = 9
        volume = open_volume(path)
        monkeypatch.setattr("scripts.volumes.shard_index.open_store", lambda path: Listening(path, read_only=True))
        assert volume.stored_chunks(inside_shards=True) == [((0, 0, 0), (4, 4, 4))]
    expected = [RangeByteRequest(0, INDEX_BYTES), SuffixByteRequest(INDEX_BYTES)]
    assert requests == [("c/1/0/0/0", request) for request in expected]


@pytest.mark.parametrize("location", ["start", "end"])
def test_server_that_does_not_know_ranges(tmp_path, monkeypatch, location):
    class Generous(LocalStore):
        async def get(self, key, prototype=None, byte_range=None):
            return await super().get(key, prototype, None)

    create(tmp_path / "x.zarr", location)[0, 4, 4, 0] = 9
    volume = open_volume(tmp_path / "x.zarr")
    monkeypatch.setattr("scripts.volumes.shard_index.open_store", lambda path: Generous(path, read_only=True))
    assert volume.stored_chunks(inside_shards=True) == [((4, 4, 0), (4, 4, 4))]


def test_large_shards_stay_on_disk(tmp_path):
    noise = np.random.default_rng(0).integers(1, 255, (64, 256, 256)).astype("u1")
    zarr.create_array(tmp_path / "x", data=noise, chunks=(64, 64, 64), shards=(64, 256, 256), compressors=None)
    volume = open_volume(tmp_path / "x")
    tracemalloc.start()
    assert len(volume.stored_chunks(inside_shards=True)) == 16
    assert tracemalloc.get_traced_memory()[1] < noise.nbytes / 4
    tracemalloc.stop()


@pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed` codec")
@pytest.mark.parametrize(
    "codecs",
    [
        pytest.param({"serializer": [TransposeCodec(order=(2, 0, 1))]}, id="transposed"),
        pytest.param({"index_codecs": [BytesCodec()]}, id="no checksum"),
        pytest.param({"index_codecs": [BytesCodec(endian="big"), Crc32cCodec()]}, id="big endian"),
        pytest.param({"behind": [GzipCodec()]}, id="compressed shard"),
    ],
)
def test_unusual_shards_are_listed_whole(tmp_path, codecs):
    sharding = ShardingCodec(
        chunk_shape=(4, 4, 4),
        codecs=[BytesCodec()],
        index_codecs=codecs.get("index_codecs", [BytesCodec(), Crc32cCodec()]),
    )
    array = zarr.create(
        shape=(16, 8, 8),
        chunks=(8, 8, 8),
        dtype="u1",
        store=tmp_path / "x",
        codecs=[*codecs.get("serializer", []), sharding, *codecs.get("behind", [])],
        zarr_format=3,
    )
    array[8, 0, 0] = 1
    assert open_volume(tmp_path / "x").stored_chunks(inside_shards=True) == [((8, 0, 0), (8, 8, 8))]


def test_shards_within_shards(tmp_path):
    """The chunks of the outer shards are listed; what these hold in turn is not looked into."""
    inner = ShardingCodec(chunk_shape=(2, 2, 2), codecs=[BytesCodec()])
    outer = ShardingCodec(chunk_shape=(4, 4, 4), codecs=[inner])
    array = zarr.create(
        shape=(16, 8, 8), chunks=(8, 8, 8), dtype="u1", store=tmp_path / "x", codecs=[outer], zarr_format=3
    )
    array[13, 0, 5] = 1
    assert open_volume(tmp_path / "x").stored_chunks(inside_shards=True) == [((12, 0, 4), (4, 4, 4))]


def test_without_shards_nothing_changes(tmp_path):
    zarr.create_array(tmp_path / "x.zarr", shape=(8, 8), chunks=(4, 4), dtype="u1")[0, 0] = 1
    np.save(tmp_path / "x.npy", np.zeros((2, 3), "u1"))
    assert open_volume(tmp_path / "x.zarr").stored_chunks(inside_shards=True) == [((0, 0, 0), (1, 4, 4))]
    assert open_volume(tmp_path / "x.npy").stored_chunks(inside_shards=True) == [((0, 0, 0), (1, 2, 3))]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda b: b[:-1], "the checksum of the shard's index is 0x", id="cut"),
        pytest.param(lambda b: b[:9], f"the shard's index has 9 bytes, expected {INDEX_BYTES}", id="short"),
        pytest.param(lambda b: b"", f"the shard's index has 0 bytes, expected {INDEX_BYTES}", id="empty"),
        pytest.param(lambda b: b[:-9] + bytes([b[-9] ^ 1]) + b[-8:], "the checksum of the shard's index", id="flip"),
    ],
)
def test_damaged_index(tmp_path, damage, message):
    create(tmp_path / "x.zarr")[...] = 1
    shard = tmp_path / "x.zarr" / "c" / "1" / "1" / "0" / "0"
    shard.write_bytes(damage(shard.read_bytes()))
    volume = open_volume(tmp_path / "x.zarr")
    expected = rf"x\.zarr: chunk 'c/1/1/0/0' \(stored voxels \[1:2, 8:16, 0:8, 0:8\]\) cannot be read: .*{message}"
    with pytest.raises(CorruptChunkError, match=expected):
        volume.stored_chunks(inside_shards=True)


def test_shard_that_vanishes_after_it_was_listed(tmp_path, monkeypatch):
    create(tmp_path / "x.zarr")[...] = 1
    volume = open_volume(tmp_path / "x.zarr")
    before, listed = volume.stored_chunks(inside_shards=True), list(volume._source._stored_keys(with_status=False))
    monkeypatch.setattr(volume._source, "_stored_keys", lambda with_status: listed)
    for channel in "01":
        (tmp_path / "x.zarr" / "c" / channel / "1" / "0" / "0").unlink()
    left = [((z, y, x), size) for (z, y, x), size in before if not (z >= 8 and y < 8)]
    assert volume.stored_chunks(inside_shards=True) == left
    assert len(left) == len(before) - 4
