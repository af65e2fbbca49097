import logging
import multiprocessing
import operator
import os

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.volumes import NORMAL_INT8, encode, open_volume

SHAPE = (2, 9, 10, 11)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("volume") / "x.zarr"
    data = np.random.default_rng(0).integers(1, 9999, SHAPE).astype("int16")
    zarr.create_array(path, data=data, chunks=(1, 4, 4, 4), fill_value=5)
    return path, data


@given(
    st.tuples(*[st.integers(-15, 15)] * 3),
    st.tuples(*[st.integers(1, 14)] * 3),
    st.lists(st.integers(0, 1), min_size=1, max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_read_equals_slicing_of_a_padded_array(stored, start, size, channels):
    path, data = stored
    around = np.pad(data, [(0, 0), *[(30, 30)] * 3], constant_values=-7)
    box = tuple(slice(30 + s, 30 + s + n) for s, n in zip(start, size, strict=True))
    volume = open_volume(path)
    block = volume.read(start, size, channels=channels, fill=-7)
    np.testing.assert_array_equal(block, around[(slice(None), *box)][channels])
    assert block.dtype == np.int16
    assert block.flags.c_contiguous
    for axis, (before, after) in enumerate(volume.padding(start, size)):
        inside = [i for i in range(start[axis], start[axis] + size[axis]) if 0 <= i < SHAPE[axis + 1]]
        assert before + after + len(inside) == size[axis]
        if inside:
            assert before == inside[0] - start[axis]


def test_description(stored):
    path, _ = stored
    volume = open_volume(str(path))
    assert volume.path == str(path)
    assert (volume.shape, volume.channels, volume.spatial_shape) == (SHAPE, 2, (9, 10, 11))
    assert (volume.dtype, volume.chunks, volume.fill_value) == (np.dtype("int16"), (4, 4, 4), 5)
    assert (volume.spacing, volume.translation, volume.unit) == ((1.0,) * 3, (0.0,) * 3, None)
    assert "C D H W = (2, 9, 10, 11), int16, spacing 1 x 1 x 1" in repr(volume)


def test_first_padding_is_reported_once(stored, caplog):
    path, _ = stored
    volume = open_volume(path)
    with caplog.at_level(logging.WARNING):
        volume.read((0, 0, 0), (9, 10, 11))
        assert not caplog.records
        volume.read((-1, 0, 0), (4, 4, 4))
        volume.read((8, 0, 0), (4, 4, 4))
    assert len(caplog.records) == 1
    assert f"{path}: the box at (-1, 0, 0) of size (4, 4, 4) reaches beyond the volume of (9, 10, 11)" in caplog.text


def test_only_needed_chunks_are_read(stored, tmp_path):
    path = tmp_path / "x.zarr"
    zarr.create_array(path, data=stored[1], chunks=(1, 4, 4, 4))
    for chunk in (path / "c" / "1").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"broken")
    (path / "c" / "0" / "2" / "0" / "0").write_bytes(b"broken")
    block = open_volume(path).read((0, 0, 0), (8, 10, 11), channels=[0])
    np.testing.assert_array_equal(block[0], stored[1][0, :8])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0, 0, 0), (0, 4, 4)), r"size \(0, 4, 4\) of the box"),
        (((0, 0), (4, 4, 4)), r"start: expected three whole numbers \[z, y, x\], got \[0, 0\]"),
        (((0, 0, 0.5), (4, 4, 4)), r"got \[0, 0, 0.5\]"),
        (((0, 0, 0), (4, 4, 4), [2]), r"channels \[2\]; expected numbers from 0 to 1"),
        (((-1, 0, 0), (4, 4, 4), None, 1e6), "fill = 1000000.0 does not fit the volume's type int16"),
    ],
)
def test_faults_of_read(stored, arguments, message):
    start, size, channels, fill = (*arguments, None, 0)[:4] if len(arguments) < 4 else arguments
    with pytest.raises(ValueError, match=message):
        open_volume(stored[0]).read(start, size, channels=channels, fill=fill)


def test_two_spawned_workers_read(stored):
    path, data = stored
    volume = open_volume(path)
    volume.read((0, 0, 0), (1, 1, 1))  # the handle is open here, and stays here
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        blocks = pool.map(operator.methodcaller("read", (2, 3, 4), (5, 5, 5)), [volume] * 4, chunksize=1)
    for block in blocks:
        np.testing.assert_array_equal(block, data[:, 2:7, 3:8, 4:9])


def test_handle_is_opened_anew_after_a_fork(stored):
    volume = open_volume(stored[0])
    first = volume._source.handle
    assert volume._source.handle is first
    volume._source._handle_owner = os.getpid() + 1  # as a forked child sees it
    assert volume._source.handle is not first


def test_encoding_of_the_attributes(tmp_path):
    normals = np.zeros((3, 1, 1, 2), np.float32)
    normals[:, 0, 0, 0] = 0.6, 0.0, -0.8
    zarr.create_array(
        tmp_path / "x.zarr", data=encode(normals, NORMAL_INT8, "int8"), attributes=NORMAL_INT8.as_attributes()
    )
    volume = open_volume(tmp_path / "x.zarr")
    assert volume.encoding == NORMAL_INT8
    np.testing.assert_allclose(volume.decode(volume.read((0, 0, 0), (1, 1, 2))), normals, atol=0.5 / 127)


def test_missing_and_unsupported(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=rf"gone.zarr does not exist; the nearest folder that does is {tmp_path}"
    ):
        open_volume(tmp_path / "gone.zarr::1")
    (tmp_path / "x.txt").touch()
    with pytest.raises(ValueError, match=r"x.txt: '.txt' is no known suffix; expected a zarr folder, or .*\.nii"):
        open_volume(tmp_path / "x.txt")
    np.save(tmp_path / "x.npy", np.zeros((2, 2)))
    with pytest.raises(ValueError, match="level 1 does not exist; a file has level 0 only"):
        open_volume(tmp_path / "x.npy::1")
    np.save(tmp_path / "y.npy", np.zeros((0, 2)))
    with pytest.raises(ValueError, match=r"y.npy: the array is empty, shape \(0, 2\)"):
        open_volume(tmp_path / "y.npy")
