"""Bytes that volumes count, against sums by hand."""

import copy
import multiprocessing
import pickle
import threading

import nibabel
import numpy as np
import pytest
import tifffile
import zarr

from scripts.volumes import Grid, ResampledVolume, open_volume, set_chunk_cache
from scripts.volumes.byte_count import ByteCount

SHAPE = (2, 10, 9, 11)


@pytest.fixture(autouse=True)
def off_again():
    yield
    set_chunk_cache(0)


@pytest.fixture(params=[{}, {"zarr_format": 2}, {"shards": (2, 8, 8, 8)}], ids=["v3", "v2", "shards"])
def volume(request, tmp_path):
    data = np.arange(np.prod(SHAPE), dtype="u2").reshape(SHAPE)
    zarr.create_array(tmp_path / "x.zarr", data=data, chunks=(1, 4, 4, 4), **request.param)
    return open_volume(tmp_path / "x.zarr")


def test_without_cache_every_touched_chunk_counts(volume):
    assert volume.decoded_bytes == 0
    volume.read((0, 0, 0), (4, 4, 4), channels=[0])
    assert volume.decoded_bytes == 64 * 2
    volume.read((3, 3, 3), (2, 2, 2))  # eight chunks of both channels
    assert volume.decoded_bytes == (64 + 8 * 64 * 2) * 2
    before = volume.decoded_bytes
    volume.read((9, 8, 10), (1, 1, 1), channels=[1])  # the last chunk, of which 2 x 1 x 3 voxels lie in the volume
    assert volume.decoded_bytes == before + 2 * 1 * 3 * 2
    volume.read((-20, 0, 0), (5, 5, 5))  # outside
    assert volume.decoded_bytes == before + 2 * 1 * 3 * 2


def test_with_cache_every_chunk_counts_once(volume):
    set_chunk_cache(10**6)
    for z in range(7):
        volume.read((z, 0, 0), (4, 9, 11))
    assert volume.decoded_bytes == np.prod(SHAPE) * 2
    volume.read((0, 0, 0), SHAPE[1:])
    assert volume.decoded_bytes == np.prod(SHAPE) * 2
    set_chunk_cache(0)
    volume.read((0, 0, 0), SHAPE[1:])
    assert volume.decoded_bytes == 2 * np.prod(SHAPE) * 2


def test_a_resampled_volume_counts_what_its_base_read(volume):
    resampled = ResampledVolume(volume, Grid((2.0, 1.0, 1.0)), (5, 9, 11), "nearest")
    resampled.read((0, 0, 0), (5, 9, 11))
    assert resampled.decoded_bytes == volume.decoded_bytes == np.prod(SHAPE) * 2


def test_files_count_what_was_read(tmp_path):
    data = np.zeros((6, 5, 4), "uint16")
    np.save(tmp_path / "x.npy", data)
    tifffile.imwrite(tmp_path / "x.tif", data, photometric="minisblack")
    nibabel.save(nibabel.Nifti1Image(data.T, np.eye(4)), tmp_path / "x.nii")
    for name in ("x.npy", "x.tif", "x.nii"):
        volume = open_volume(tmp_path / name)
        volume.read((1, 0, 0), (2, 5, 4))
        volume.read((1, 0, 0), (2, 5, 4))
        assert volume.decoded_bytes == 2 * (2 * 5 * 4 * 2), name


def test_a_copy_for_another_process_starts_at_zero(volume):
    volume.read((0, 0, 0), (4, 4, 4))
    assert pickle.loads(pickle.dumps(volume)).decoded_bytes == 0
    assert copy.deepcopy(volume).decoded_bytes == 0
    assert volume.decoded_bytes == 2 * 64 * 2


def test_no_thread_is_forgotten():
    count = ByteCount()
    threads = [threading.Thread(target=lambda: [count.add(3) for _ in range(20000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count.total == 4 * 20000 * 3


_count = ByteCount()


def add_and_tell(number):
    before = _count.total
    _count.add(number)
    return before, _count.total


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_a_fork_starts_at_zero_even_while_a_thread_counts():
    _count.add(5)
    with _count._lock, multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(add_and_tell, (7,)).get(timeout=60) == (0, 7)
    assert _count.total >= 5
