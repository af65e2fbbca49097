"""Arrays that are written, against zarr-python, which reads them."""

import errno
import logging
import multiprocessing
import pickle
import resource
import threading

import numcodecs
import numpy as np
import pytest
import tensorstore
import zarr

from scripts.volumes import CorruptChunkError, set_chunk_cache
from scripts.volumes.writable_array import WritableArray

BOX = (slice(0, 4), slice(4, 8), slice(8, 11))
LAYOUTS = {
    "v2": {"zarr_format": 2},
    "v3": {},
    "shards": {"chunks": (2, 2, 2), "shards": (4, 4, 4)},
    "raw": {"compressors": None},
}


def create(path, shape=(8, 8, 11), dtype="u2", **options):
    return zarr.create_array(path, shape=shape, dtype=dtype, **({"chunks": (4, 4, 4)} | options))


def numbers(shape=(1, 4, 4, 3), dtype="u2"):
    return np.random.default_rng(0).integers(1, 99, shape).astype(dtype)


def chunks_of(path):
    return sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file() and p.name[0] in "c0123456789")


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("dtype", ["bool", "i1", ">u2", "i8", "f2", "f4"])
def test_zarr_python_reads_what_tensorstore_wrote(tmp_path, layout, dtype):
    create(tmp_path / "x", dtype=dtype, **layout)
    array, data = WritableArray(str(tmp_path / "x")), numbers().astype(dtype)
    array.write(BOX, data)
    assert isinstance(array._handle, tensorstore.TensorStore)
    expected = np.zeros((8, 8, 11), dtype)
    expected[BOX] = data[0]
    found = zarr.open_array(tmp_path / "x", mode="r")[...]
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == zarr.open_array(tmp_path / "x").dtype
    np.testing.assert_array_equal(
        array.read((slice(2, 6), slice(0, 8), slice(7, 11)), slice(0, 1))[0], expected[2:6, :, 7:]
    )


def test_channels(tmp_path):
    create(tmp_path / "x", (3, 4, 8, 11), chunks=(1, 4, 4, 4))
    array, data = WritableArray(str(tmp_path / "x")), numbers((3, 4, 4, 3))
    array.write(BOX, data)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "x")[(slice(None), *BOX)], data)
    np.testing.assert_array_equal(array.read(BOX, slice(1, 3)), data[1:])


def test_float_types_are_converted(tmp_path):
    create(tmp_path / "x", dtype="f4")
    data = np.random.default_rng(0).normal(size=(1, 4, 4, 3))
    WritableArray(str(tmp_path / "x")).write(BOX, data)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "x")[BOX], data[0].astype("f4"))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_chunks_of_fill_value_are_not_stored_and_removed(tmp_path, layout):
    create(tmp_path / "x", fill_value=5, **layout)
    array, whole = WritableArray(str(tmp_path / "x")), (slice(0, 8), slice(0, 8), slice(0, 11))
    data = np.full((1, 8, 8, 11), 5, "u2")
    array.write(whole, data)
    assert chunks_of(tmp_path / "x") == []
    data[0, 5, 5, 5] = 6
    array.write(whole, data)
    assert chunks_of(tmp_path / "x") == ["1.1.1" if "zarr_format" in layout else "c/1/1/1"]
    array.write(whole, np.full_like(data, 5))
    assert chunks_of(tmp_path / "x") == []


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_threads_write_different_chunks(tmp_path, layout):
    create(tmp_path / "x", (8, 8, 64), **layout)
    array, data = WritableArray(str(tmp_path / "x")), numbers((1, 8, 8, 64))
    barrier = threading.Barrier(4)

    def write(first):
        barrier.wait()
        for x in range(first, 16, 4):
            for z, y in np.ndindex(2, 2):
                box = (slice(4 * z, 4 * z + 4), slice(4 * y, 4 * y + 4), slice(4 * x, 4 * x + 4))
                array.write(box, data[(slice(None), *box)])

    threads = [threading.Thread(target=write, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "x")[...], data[0])
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith((".__lock", ".partial"))]


def test_codecs_that_tensorstore_does_not_know(tmp_path, caplog):
    create(tmp_path / "x", zarr_format=2, compressors=numcodecs.LZ4())
    array = WritableArray(str(tmp_path / "x"))
    with caplog.at_level(logging.INFO):
        array.write(BOX, numbers())
    assert "zarr-python writes the voxels, since tensorstore cannot: " in caplog.text
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "x")[BOX], numbers()[0])
    np.testing.assert_array_equal(array.read(BOX, slice(0, 1)), numbers())


def test_where_tensorstore_fails_zarr_python_takes_over(tmp_path, caplog, monkeypatch):
    """As on a file system that knows no locks."""
    create(tmp_path / "x")
    array = WritableArray(str(tmp_path / "x"))
    spec = {"context": {"file_io_locking": {"mode": "lockfile", "acquire_timeout": "10ms"}}}
    monkeypatch.setattr("scripts.volumes.writable_array._CONTEXT", spec["context"])
    lock = tmp_path / "x" / "c" / "0" / "1" / "2.__lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    with caplog.at_level(logging.INFO):
        array.write(BOX, numbers())
    assert "zarr-python writes the voxels, since tensorstore cannot: " in caplog.text
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "x")[BOX], numbers()[0])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_a_child_of_a_fork_writes_with_zarr_python(tmp_path):
    create(tmp_path / "x")
    array = WritableArray(str(tmp_path / "x"))
    array.write(BOX, numbers())
    other = (slice(4, 8), *BOX[1:])
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(write_and_tell, (array, other)).get(60) == "Array"
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "x")[other], numbers()[0])
    array.write(BOX, numbers() + np.uint16(1))
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "x")[BOX], numbers()[0] + 1)


def write_and_tell(array, box):
    array.write(box, numbers())
    return type(array._handle).__name__


def test_a_copy_opens_the_array_anew(tmp_path):
    create(tmp_path / "x")
    array = WritableArray(str(tmp_path / "x"))
    array.write(BOX, numbers())
    copy = pickle.loads(pickle.dumps(array))
    assert copy._handle is None
    np.testing.assert_array_equal(copy.read(BOX, slice(0, 1)), numbers())


def test_reading_shows_what_is_stored_now(tmp_path):
    create(tmp_path / "x")
    array = WritableArray(str(tmp_path / "x"))
    set_chunk_cache(10**6)
    try:
        for value in (1, 2):
            zarr.open_array(tmp_path / "x")[...] = value
            assert (array.read(BOX, slice(0, 1)) == value).all()
    finally:
        set_chunk_cache(0)


def test_a_damaged_chunk_is_named(tmp_path):
    create(tmp_path / "x")[...] = 3
    chunk = tmp_path / "x" / "c" / "0" / "1" / "2"
    chunk.write_bytes(chunk.read_bytes()[:-3])
    with pytest.raises(CorruptChunkError, match=r"chunk 'c/0/1/2' \(stored voxels \[0:4, 4:8, 8:11\]\)"):
        WritableArray(str(tmp_path / "x")).read(BOX, slice(0, 1))


@pytest.mark.parametrize("layout", [{}, {"zarr_format": 2, "compressors": numcodecs.LZ4()}], ids=["v3", "zarr-python"])
def test_a_full_disk(tmp_path, layout):
    """Stood in for by a limit of file sizes, which fails in the same place."""
    create(tmp_path / "x", (8, 8, 4096), chunks=(4, 4, 4096), **layout)
    array = WritableArray(str(tmp_path / "x"))
    box = (slice(4, 8), slice(0, 4), slice(0, 4096))
    data = np.random.default_rng(0).integers(0, 2**16, (1, 4, 4, 4096)).astype("u2")
    array.write((slice(0, 4), *box[1:]), data)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    message = r"x: the voxels \[4:8, 0:4, 0:4096\] cannot be written: File too large. What was written before is whole"
    try:
        with pytest.raises(OSError, match=message) as fault:
            array.write(box, data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert fault.value.errno == errno.EFBIG
    assert len(chunks_of(tmp_path / "x")) == 1  # nothing half written stays
    array.write(box, data)
    found = zarr.open_array(tmp_path / "x")
    np.testing.assert_array_equal(found[:4, :4], data[0])
    np.testing.assert_array_equal(found[4:, :4], data[0])


def test_a_path_that_cannot_be_written(tmp_path):
    create(tmp_path / "x")
    (tmp_path / "x" / "c").touch()
    with pytest.raises(
        NotADirectoryError, match=r"x: the voxels \[0:4, 4:8, 8:11\] cannot be written: Not a directory"
    ):
        WritableArray(str(tmp_path / "x")).write(BOX, numbers())
