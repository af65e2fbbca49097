"""tensorstore against zarr-python: the same voxels, whatever the codec, type, fill value or kind of process."""

import itertools
import logging
import multiprocessing
import pickle
import threading

import numcodecs
import numpy as np
import pytest
import tensorstore
import zarr
from monai.data import DataLoader, Dataset
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec

from scripts.volumes import CorruptChunkError, open_volume

SHAPE = (8, 5, 6)
BOXES = [((0, 0, 0), SHAPE), ((1, 2, 3), (6, 3, 2)), ((7, 4, 5), (1, 1, 1)), ((4, 0, 0), (4, 5, 6))]
TYPES = ["bool", "i1", "u1", ">i2", "<u2", ">u4", "i4", ">i8", "u8", "f2", ">f4", "f8"]
V2_COMPRESSORS = {
    "zlib": numcodecs.Zlib(1),
    "gzip": numcodecs.GZip(1),
    "bz2": numcodecs.BZ2(1),
    "zstd": numcodecs.Zstd(3),
    "blosc": numcodecs.Blosc("zstd", 3, numcodecs.Blosc.BITSHUFFLE),
    "raw": None,
}
V3_LAYOUTS = {
    "gzip": {"compressors": GzipCodec()},
    "zstd": {"compressors": ZstdCodec(level=3, checksum=True)},
    "blosc": {"compressors": BloscCodec(cname="lz4")},
    "crc": {"compressors": [ZstdCodec(), Crc32cCodec()]},
    "raw": {"compressors": None},
    "big endian": {"serializer": BytesCodec(endian="big")},
    "transposed": {"filters": [TransposeCodec(order=(2, 0, 1))]},
    "v2 keys": {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "dots": {"chunk_key_encoding": {"name": "default", "separator": "."}},
    "shards": {"chunks": (2, 2, 2), "shards": (4, 4, 4)},
    "index first": {"chunks": (2, 2, 2), "shards": {"shape": (4, 4, 4), "index_location": "start"}},
    "transposed within shards": {
        "chunks": (2, 2, 2),
        "shards": (4, 4, 4),
        "filters": [TransposeCodec(order=(2, 0, 1))],
    },
}


def write(path, dtype="u2", **options):
    """Half of an array of numbers; the other half is left to the fill value."""
    data = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 99, SHAPE).astype(dtype)
    array = zarr.create_array(path, shape=SHAPE, dtype=dtype, **({"chunks": (4, 4, 4)} | options))
    array[:4] = data[:4]
    return data


def check_equals_zarr_python(path, reader=tensorstore.TensorStore):
    expected = zarr.open_array(path, mode="r")
    volume = open_volume(path)
    for start, size in BOXES:
        block = volume.read(start, size)
        box = tuple(slice(low, low + n) for low, n in zip(start, size, strict=True))
        np.testing.assert_array_equal(block[0], expected[box])
        assert block.dtype == expected.dtype.newbyteorder("=")
        assert block.flags.c_contiguous
        assert block.flags.writeable
    assert isinstance(volume._source.handle, reader)
    return volume


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_types(tmp_path, dtype, zarr_format):
    write(tmp_path / "x.zarr", dtype, zarr_format=zarr_format)
    check_equals_zarr_python(tmp_path / "x.zarr")


@pytest.mark.parametrize("fill_value", [None, 7, -1.5, np.nan, np.inf], ids=str)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_fill_values(tmp_path, fill_value, zarr_format):
    write(tmp_path / "x.zarr", "f4", zarr_format=zarr_format, fill_value=fill_value)
    volume = check_equals_zarr_python(tmp_path / "x.zarr")
    expected = 0.0 if fill_value is None else fill_value
    np.testing.assert_array_equal(volume.read((4, 0, 0), (4, 5, 6)), np.full((1, 4, 5, 6), expected, "f4"))


@pytest.mark.parametrize("separator", [".", "/"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("compressor", V2_COMPRESSORS.values(), ids=V2_COMPRESSORS)
def test_version_2(tmp_path, compressor, order, separator):
    keys = {"name": "v2", "separator": separator}
    write(tmp_path / "x.zarr", zarr_format=2, compressors=compressor, order=order, chunk_key_encoding=keys)
    check_equals_zarr_python(tmp_path / "x.zarr")


@pytest.mark.parametrize("layout", V3_LAYOUTS.values(), ids=V3_LAYOUTS)
def test_version_3(tmp_path, layout):
    write(tmp_path / "x.zarr", **layout)
    check_equals_zarr_python(tmp_path / "x.zarr")


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        pytest.param({"compressors": numcodecs.LZ4()}, 'id": "lz4" is not registered', id="compressor"),
        pytest.param({"filters": [numcodecs.Delta("<u2")]}, "filters are not supported", id="filter"),
    ],
)
def test_what_tensorstore_does_not_know_is_read_by_zarr_python(tmp_path, caplog, layout, reason):
    path = tmp_path / "x.zarr"
    write(path, zarr_format=2, **layout)
    with caplog.at_level(logging.INFO):
        check_equals_zarr_python(path, zarr.Array)
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert f"{path}: zarr-python reads the voxels, since tensorstore cannot: " in record.message
    assert reason in record.message
    chunk = path / "0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:9])
    with pytest.raises(CorruptChunkError, match=r"x\.zarr: chunk '0\.0\.0' \(stored voxels \[0:4, 0:4, 0:4\]\)"):
        open_volume(path).read((0, 0, 0), SHAPE)


def test_another_shape_than_zarr_python_sees(tmp_path, caplog):
    """An array that grows between the look at its metadata and the first read keeps the shape it had."""
    path = tmp_path / "x.zarr"
    write(path)
    volume = open_volume(path)
    zarr.open_array(path).resize((12, 5, 6))
    with caplog.at_level(logging.INFO):
        assert volume.read((0, 0, 0), SHAPE).shape == (1, *SHAPE)
    assert r"it sees shape and type ((12, 5, 6), dtype('uint16')); expected ((8, 5, 6), dtype('uint16'))" in caplog.text


def test_a_path_that_goes_up_and_through_a_link(tmp_path):
    (tmp_path / "far" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "inner")
    write(tmp_path / "far" / "x.zarr")
    check_equals_zarr_python(f"{tmp_path}/link/../x.zarr")  # the folder above the link's target


def test_flat_and_channel_last_arrays(tmp_path):
    data = np.random.default_rng(0).integers(0, 99, (5, 6, 3)).astype("u1")
    zarr.create_array(tmp_path / "x.zarr", data=data, chunks=(4, 4, 2), dimension_names=["y", "x", "c"])
    block = open_volume(tmp_path / "x.zarr").read((0, 1, 2), (1, 4, 3), channels=[2, 0])
    np.testing.assert_array_equal(block, data[1:5, 2:5, [2, 0]].transpose(2, 0, 1)[:, None])


@pytest.mark.parametrize("layout", [{"zarr_format": 2}, {}, {"chunks": (2, 2, 2), "shards": (4, 4, 4)}])
def test_voxels_changed_in_place_are_seen(tmp_path, layout):
    path = tmp_path / "x.zarr"
    write(path, **layout)
    volume = open_volume(path)
    volume.read((0, 0, 0), SHAPE)
    array = zarr.open_array(path)
    for value in (41, 42):  # the same size, perhaps within one tick of the file system's clock
        array[...] = value
        assert (volume.read((0, 0, 0), SHAPE) == value).all()
        assert (open_volume(path).read((0, 0, 0), SHAPE) == value).all()


def test_nothing_is_opened_before_the_first_read_or_pickled(tmp_path):
    write(tmp_path / "x.zarr")
    volume = open_volume(tmp_path / "x.zarr")
    volume.stored_chunks()
    volume.fingerprint()
    assert volume._source._handle is None
    volume.read((0, 0, 0), SHAPE)
    assert pickle.loads(pickle.dumps(volume))._source._handle is None


@pytest.mark.parametrize("start_method", [pytest.param("spawn", marks=pytest.mark.long), "forkserver"])
def test_two_workers_of_a_loader(tmp_path, start_method):
    data = write(tmp_path / "x.zarr")
    volume = open_volume(tmp_path / "x.zarr")
    volume.read((0, 0, 0), (1, 1, 1))  # the handle of this process stays here
    starts = list(itertools.product((0, 1), (0, 1), (0, 2)))
    dataset = Dataset([{"start": start, "size": (3, 4, 4)} for start in starts], ReadBox(volume))
    loader = DataLoader(dataset, batch_size=1, num_workers=2, multiprocessing_context=start_method)
    for (z, y, x), batch in zip(starts, loader, strict=True):
        np.testing.assert_array_equal(batch[0, 0], data[z : z + 3, y : y + 4, x : x + 4].astype("i8"))


class ReadBox:
    """A transform that reads the boxes of one volume."""

    def __init__(self, volume):
        self.volume = volume

    def __call__(self, box):
        return self.volume.read(box["start"], box["size"]).astype("i8")  # PyTorch collates no uint16


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_children_of_a_fork_read_with_zarr_python(tmp_path):
    data = write(tmp_path / "x.zarr")
    volume = open_volume(tmp_path / "x.zarr")
    volume.read((0, 0, 0), SHAPE)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        blocks, messages = pool.apply_async(read_and_listen, ([volume, open_volume(tmp_path / "x.zarr")],)).get(60)
    for block in blocks:
        np.testing.assert_array_equal(block[0], data[:4])
    (message,) = messages
    assert "forked from one that had read volumes already: zarr-python reads here, which is slower" in message


def read_and_listen(volumes):
    """Read a box of each volume; also give back what was logged."""
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logging.getLogger().addHandler(handler)
    return [volume.read((0, 0, 0), (4, 5, 6)) for volume in volumes], messages


def test_threads_share_a_volume(tmp_path):
    data = write(tmp_path / "x.zarr")
    volume = open_volume(tmp_path / "x.zarr")
    barrier, blocks = threading.Barrier(4), []

    def read():
        barrier.wait()
        blocks.extend(volume.read((0, 0, 0), (4, 5, 6))[0] for _ in range(20))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(blocks) == 80
    assert all((block == data[:4]).all() for block in blocks)
