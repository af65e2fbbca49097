"""Reading around damaged chunks, against what was written and NumPy."""

import errno
import logging
import shutil

import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from tests.volumes import servers

from scripts.volumes import (
    CorruptChunkError,
    Grid,
    RemoteError,
    ResampledVolume,
    open_volume,
    read_tolerant,
    set_chunk_cache,
)

SHAPE = (2, 10, 9, 11)
FILL = 7
LAYOUTS = {
    "v2": ({"chunks": (1, 4, 4, 4), "zarr_format": 2}, "1.1.0.1", "[1:2, 4:8, 0:4, 4:8]"),
    "v3": ({"chunks": (1, 4, 4, 4)}, "c/1/1/0/1", "[1:2, 4:8, 0:4, 4:8]"),
    "both channels": ({"chunks": (2, 4, 4, 4)}, "c/0/1/0/1", "[0:2, 4:8, 0:4, 4:8]"),
}


@pytest.fixture(autouse=True, params=[0, 10**6], ids=["no cache", "cache"])
def cache(request):
    set_chunk_cache(request.param)
    yield
    set_chunk_cache(0)


def write(path, **options):
    data = np.random.default_rng(0).integers(10, 9999, SHAPE).astype("u2")
    zarr.create_array(path, shape=SHAPE, dtype="u2", fill_value=FILL, **options)[...] = data
    return data


def cut(file):
    file.write_bytes(file.read_bytes()[:-20])


def whole(volume):
    return volume.read((0, 0, 0), volume.spatial_shape)


@pytest.mark.parametrize(("layout", "key", "voxels"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_damaged_chunk_reads_as_fill_value_and_its_neighbours_as_they_are(tmp_path, layout, key, voxels):
    path = tmp_path / "x.zarr"
    expected = write(path, **layout)
    cut(path / key)
    first = 0 if layout["chunks"][0] == 2 else 1
    expected[first:, 4:8, :4, 4:8] = FILL
    volume = open_volume(path)
    for _ in range(2):
        block, faults = read_tolerant(volume, (0, 0, 0), SHAPE[1:])
        np.testing.assert_array_equal(block, expected)
        assert len(faults) == 1
        assert f"{path}: chunk '{key}' (stored voxels {voxels}) cannot be read: " in faults[0]
    # beyond the volume on all sides
    block, faults = read_tolerant(volume, (-2, -3, -1), (15, 14, 15), fill=3)
    np.testing.assert_array_equal(block, np.pad(expected, [(0, 0), (2, 3), (3, 2), (1, 3)], constant_values=3))
    assert len(faults) == 1
    # touching the chunk in one voxel, and not at all
    block, faults = read_tolerant(volume, (7, 3, 7), (2, 2, 2))
    np.testing.assert_array_equal(block, expected[:, 7:9, 3:5, 7:9])
    assert len(faults) == 1
    block, faults = read_tolerant(volume, (8, 0, 0), (2, 9, 11))
    np.testing.assert_array_equal(block, expected[:, 8:])
    assert faults == []
    with pytest.raises(CorruptChunkError):
        whole(volume)


def test_a_chunk_within_a_shard(tmp_path):
    path = tmp_path / "x.zarr"
    expected = write(path, chunks=(1, 4, 4, 4), shards=(2, 8, 8, 8))
    shard = path / "c" / "0" / "0" / "0" / "0"
    content = bytearray(shard.read_bytes())
    # the index, at the end, says where chunk (1, 1, 0, 1) is: its bytes are made nonsense
    index = np.frombuffer(bytes(content[-(16 * 16 + 4) : -4]), "<u8").reshape(2, 2, 2, 2, 2)
    offset, length = index[1, 1, 0, 1].tolist()
    content[offset : offset + length] = b"\xff" * length
    shard.write_bytes(content)
    expected[1, 4:8, :4, 4:8] = FILL
    block, faults = read_tolerant(open_volume(path), (0, 0, 0), SHAPE[1:])
    np.testing.assert_array_equal(block, expected)
    assert len(faults) == 1
    assert "chunk 'c/0/0/0/0' (stored voxels [1:2, 4:8, 0:4, 4:8])" in faults[0]


def test_a_shard_without_index(tmp_path):
    path = tmp_path / "x.zarr"
    expected = write(path, chunks=(1, 4, 4, 4), shards=(2, 8, 8, 8))
    cut(path / "c" / "0" / "1" / "0" / "0")
    expected[:, 8:, :8, :8] = FILL
    block, faults = read_tolerant(open_volume(path), (6, 0, 0), (4, 9, 11))
    np.testing.assert_array_equal(block, expected[:, 6:])
    assert len(faults) == len(set(faults)) == 2 * 2 * 2  # its chunks within the volume


def test_of_a_resampled_volume_the_stored_chunk_is_replaced(tmp_path):
    path = tmp_path / "x.zarr"
    expected = write(path, chunks=(1, 4, 4, 4))
    cut(path / "c" / "1" / "1" / "0" / "1")
    expected[1, 4:8, :4, 4:8] = FILL
    shutil.copytree(path, tmp_path / "without.zarr")
    (tmp_path / "without.zarr" / "c" / "1" / "1" / "0" / "1").unlink()
    np.testing.assert_array_equal(whole(open_volume(tmp_path / "without.zarr")), expected)
    grid, shape = Grid((0.7, 0.8, 0.9)), (13, 11, 12)
    for mode in ("linear", "nearest"):
        damaged, without = (
            ResampledVolume(open_volume(p), grid, shape, mode) for p in (path, tmp_path / "without.zarr")
        )
        block, faults = read_tolerant(damaged, (0, 0, 0), shape)
        np.testing.assert_array_equal(block, whole(without))
        assert len(faults) == 1


def test_files(tmp_path):
    data = np.random.default_rng(0).integers(0, 255, (5, 20, 30)).astype("uint8")
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, data, compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[3].dataoffsets[0], tiff.pages[3].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + count] = b"\xff" * count
    path.write_bytes(content)
    block, faults = read_tolerant(open_volume(path), (1, 0, 0), (4, 20, 30))
    expected = data[1:].copy()
    expected[2] = 0
    np.testing.assert_array_equal(block[0], expected)
    assert len(faults) == 1
    assert "chunk 'index 3' (stored voxels [3:4, 0:20, 0:30])" in faults[0]

    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "x.nii.gz")
    cut(tmp_path / "x.nii.gz")
    block, faults = read_tolerant(open_volume(tmp_path / "x.nii.gz"), (0, 0, 0), (30, 20, 5))
    assert not block.any()
    assert len(faults) == 1
    assert "x.nii.gz: chunk 'whole file'" in faults[0]


def test_a_server_that_fails_is_no_damage(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYTOME_REMOTE_TRIES", "1")
    write(tmp_path / "x.zarr", chunks=(1, 4, 4, 4))
    cut(tmp_path / "x.zarr" / "c" / "0" / "0" / "0" / "0")
    with servers.web_server(tmp_path, only="/c/1/") as server:
        volume = open_volume(f"{server.address}/x.zarr")
        server.plan["failures"] = 10**6
        with pytest.raises(RemoteError, match=r"/x\.zarr/c/1/"):
            read_tolerant(volume, (0, 0, 0), SHAPE[1:])


def test_what_the_system_refuses_is_no_damage(tmp_path):
    write(tmp_path / "x.zarr", chunks=(1, 4, 4, 4))
    chunk = tmp_path / "x.zarr" / "c" / "1" / "0" / "0" / "0"
    chunk.unlink()
    chunk.symlink_to(chunk)
    with pytest.raises(OSError, match=r"x\.zarr: chunk 'c/1/0/0/0' cannot be opened: ") as fault:
        read_tolerant(open_volume(tmp_path / "x.zarr"), (0, 0, 0), SHAPE[1:])
    assert fault.value.errno == errno.ELOOP
    assert not isinstance(fault.value, CorruptChunkError)


def test_no_memory_is_no_damage(tmp_path, monkeypatch):
    write(tmp_path / "x.zarr", chunks=(1, 4, 4, 4))
    volume = open_volume(tmp_path / "x.zarr")

    def fail(selection):
        raise MemoryError("no room")

    set_chunk_cache(0)
    monkeypatch.setattr(volume._source, "_read", fail)
    with pytest.raises(MemoryError, match="no room"):
        read_tolerant(volume, (0, 0, 0), SHAPE[1:])


def test_padding_is_reported_once(tmp_path, caplog):
    write(tmp_path / "x.zarr", chunks=(1, 4, 4, 4))
    cut(tmp_path / "x.zarr" / "c" / "0" / "0" / "0" / "0")
    volume = open_volume(tmp_path / "x.zarr")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            read_tolerant(volume, (-1, 0, 0), (4, 4, 4))
    assert len(caplog.records) == 1
