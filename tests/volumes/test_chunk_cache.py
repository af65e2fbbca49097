"""The chunk cache: what it saves, how much it holds, and that voxels stay the same."""

import itertools
import multiprocessing
import re
import shutil
import threading

import fsspec
import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import FsspecStore

from scripts.volumes import CorruptChunkError, open_volume, set_chunk_cache
from scripts.volumes.chunk_cache import ChunkCache, chunk_cache

SHAPE = (2, 9, 10, 11)
CHUNK_BYTES = 4 * 4 * 4 * 2
LAYOUTS = {
    "tensorstore": {},
    "shards": {"shards": (1, 8, 8, 8)},
    "zarr-python": {"zarr_format": 2, "compressors": numcodecs.LZ4()},
    "remote": {},
}


@pytest.fixture(autouse=True)
def off_again():
    yield
    set_chunk_cache(0)


@pytest.fixture(params=LAYOUTS)
def stored(request, tmp_path):
    """Path of an array, its voxels, and how to remove its chunks but not its metadata."""
    data = np.random.default_rng(0).integers(1, 9999, SHAPE).astype("u2")
    layout, path = LAYOUTS[request.param], str(tmp_path / "x.zarr")
    if request.param == "remote":
        path = f"memory://{tmp_path.name}/x.zarr"
        zarr.create_array(FsspecStore.from_url(path), data=data, chunks=(1, 4, 4, 4), **layout)
        return path, data, lambda: fsspec.filesystem("memory").rm(f"{path}/c", recursive=True)
    zarr.create_array(path, data=data, chunks=(1, 4, 4, 4), **layout)

    def remove():
        for chunk in tmp_path.rglob("*"):
            if chunk.is_file() and not re.fullmatch(r"zarr\.json|\.z\w+", chunk.name):
                chunk.unlink()

    return path, data, remove


def test_second_read_does_not_touch_the_store(stored):
    path, data, remove = stored
    set_chunk_cache(10**6)
    volume = open_volume(path)
    volume.read((0, 0, 0), SHAPE[1:])
    remove()
    np.testing.assert_array_equal(volume.read((0, 0, 0), SHAPE[1:]), data)
    np.testing.assert_array_equal(volume.read((3, 2, 1), (5, 6, 7)), data[:, 3:8, 2:8, 1:8])
    assert not open_volume(path).read((0, 0, 0), SHAPE[1:]).any()  # what is opened anew shows what is stored


def test_without_cache_the_store_is_read_again(stored):
    path, _, remove = stored
    volume = open_volume(path)
    assert volume.read((0, 0, 0), SHAPE[1:]).any()
    remove()
    assert not volume.read((0, 0, 0), SHAPE[1:]).any()


def test_blocks_belong_to_the_caller(stored):
    path, data, _ = stored
    set_chunk_cache(10**6)
    volume = open_volume(path)
    volume.read((0, 0, 0), (4, 4, 4))[:] = 0
    np.testing.assert_array_equal(volume.read((0, 0, 0), (4, 4, 4)), data[:, :4, :4, :4])


@given(
    st.lists(st.tuples(*[st.integers(0, 8)] * 3, *[st.integers(1, 9)] * 3), min_size=1, max_size=8), st.integers(1, 9)
)
@settings(max_examples=60, deadline=None)
def test_any_boxes_under_any_limit(tmp_path_factory, boxes, chunks_held):
    path = tmp_path_factory.getbasetemp() / "any.zarr"
    data = np.random.default_rng(0).integers(1, 9999, SHAPE[1:]).astype("u2")
    if not path.exists():
        zarr.create_array(path, data=data, chunks=(4, 4, 4))
    set_chunk_cache(0)
    set_chunk_cache(chunks_held * CHUNK_BYTES)
    volume = open_volume(path)
    for z, y, x, d, h, w in boxes:
        d, h, w = min(d, 9 - z), min(h, 10 - y), min(w, 11 - x)
        np.testing.assert_array_equal(volume.read((z, y, x), (d, h, w))[0], data[z : z + d, y : y + h, x : x + w])
        held = chunk_cache()
        assert held.held_bytes == sum(chunk.nbytes for chunk in held._chunks.values()) <= chunks_held * CHUNK_BYTES


def test_limit_is_shared_and_oldest_chunks_leave_first(tmp_path):
    volumes = []
    for name in "ab":
        zarr.create_array(tmp_path / name, data=np.full((12, 4, 4), ord(name), "u2"), chunks=(4, 4, 4))
        volumes.append(open_volume(tmp_path / name))
    set_chunk_cache(3 * CHUNK_BYTES)
    first, second = volumes
    first.read((0, 0, 0), (4, 4, 4))
    second.read((0, 0, 0), (4, 4, 4))
    second.read((4, 0, 0), (4, 4, 4))
    first.read((0, 0, 0), (4, 4, 4))  # used again, so that the second volume's first chunk is the oldest
    second.read((8, 0, 0), (4, 4, 4))
    assert chunk_cache().held_bytes == 3 * CHUNK_BYTES
    for name in "ab":
        shutil.rmtree(tmp_path / name / "c")
    assert first.read((0, 0, 0), (4, 4, 4)).all()
    assert second.read((4, 0, 0), (4, 4, 4)).all()
    assert not second.read((0, 0, 0), (4, 4, 4)).any()


def test_box_larger_than_the_limit_pushes_nothing_out(tmp_path):
    zarr.create_array(tmp_path / "x.zarr", data=np.ones((12, 4, 4), "u2"), chunks=(4, 4, 4))
    volume = open_volume(tmp_path / "x.zarr")
    set_chunk_cache(2 * CHUNK_BYTES)
    volume.read((0, 0, 0), (4, 4, 4))
    assert volume.read((0, 0, 0), (12, 4, 4)).all()
    assert chunk_cache().held_bytes == CHUNK_BYTES
    shutil.rmtree(tmp_path / "x.zarr" / "c")
    assert volume.read((0, 0, 0), (4, 4, 4)).all()


def test_smaller_limit_frees_and_same_limit_keeps():
    set_chunk_cache(100)
    chunk_cache().add("a", np.zeros(60, "u1"))
    chunk_cache().add("b", np.zeros(40, "u1"))
    chunk_cache().add("b", np.zeros(30, "u1"))  # in place of the other
    set_chunk_cache(100)
    assert chunk_cache().held_bytes == 90
    set_chunk_cache(50)
    assert chunk_cache().held_bytes == 30
    set_chunk_cache(0)
    assert chunk_cache().held_bytes == 0


@pytest.mark.parametrize("limit", [-1, 0.5, True, float("nan")])
def test_limits_that_are_none(limit):
    with pytest.raises(ValueError, match=rf"limit_bytes = {limit}: expected a whole number of bytes, 0 for no cache"):
        set_chunk_cache(limit)


@pytest.mark.parametrize("layout", [{}, {"zarr_format": 2, "compressors": numcodecs.LZ4()}], ids=["v3", "zarr-python"])
def test_corrupt_chunk_is_named_and_not_kept(tmp_path, layout):
    path, data = tmp_path / "x.zarr", np.arange(512, dtype="u2").reshape(8, 8, 8)
    zarr.create_array(path, data=data, chunks=(4, 4, 4), **layout)
    key = "1.0.1" if layout else "c/1/0/1"
    content = (path / key).read_bytes()
    (path / key).write_bytes(content[: len(content) // 2])
    set_chunk_cache(10**6)
    volume = open_volume(path)
    with pytest.raises(CorruptChunkError, match=rf"x\.zarr: chunk '{key}' \(stored voxels \[4:8, 0:4, 4:8\]\)"):
        volume.read((0, 0, 0), (8, 8, 8))
    (path / key).write_bytes(content)
    np.testing.assert_array_equal(volume.read((0, 0, 0), (8, 8, 8))[0], data)


def test_threads_share_the_cache(tmp_path):
    data = np.random.default_rng(0).integers(1, 9999, (16, 16, 16)).astype("u2")
    zarr.create_array(tmp_path / "x.zarr", data=data, chunks=(4, 4, 4))
    volume, wrong = open_volume(tmp_path / "x.zarr"), []
    set_chunk_cache(9 * CHUNK_BYTES)

    def read(seed):
        for z, y, x in np.random.default_rng(seed).integers(0, 11, (60, 3)).tolist():
            if (volume.read((z, y, x), (5, 5, 5))[0] != data[z : z + 5, y : y + 5, x : x + 5]).any():
                wrong.append((z, y, x))

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    held = chunk_cache()
    assert held.held_bytes == sum(chunk.nbytes for chunk in held._chunks.values()) <= 9 * CHUNK_BYTES


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_lock_that_is_held_during_a_fork():
    set_chunk_cache(100)
    with chunk_cache()._lock, multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(set_chunk_cache, (50,)).get(timeout=60) is None


def test_least_recently_used_by_brute_force():
    cache, held = ChunkCache(5), []
    for key in np.random.default_rng(0).integers(0, 9, 500).tolist():
        (found,) = cache.find([key])
        assert (found is not None) == (key in held)
        if found is None:
            cache.add(key, np.zeros(1, "u1"))
        held = [*(k for k in held if k != key), key][-5:]
    assert list(itertools.islice(cache._chunks, 5)) == held
