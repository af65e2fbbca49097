"""Several arrays as the channels of one volume, against NumPy's concatenation."""

import pickle

import numpy as np
import pytest
import zarr

from scripts.volumes import StackedVolume, create_ome_zarr, open_image, open_volume, tolerant_volume, volume_statistics

SHAPE = (9, 10, 11)


def store(path, data, spacing=(2.0, 1.0, 1.0), fill=0, parts=None):
    writer = create_ome_zarr(
        path, data.shape, data.dtype, spacing=spacing, unit="um", chunks=(4, 5, 6), fill_value=fill
    )
    for start, block in parts or [((0, 0, 0), data)]:
        writer.write(start, block)
    writer.finish()
    return str(path)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return [
        rng.integers(1, 200, (n, *SHAPE)).astype(dtype) for n, dtype in ((1, np.uint8), (2, np.uint16), (1, np.uint8))
    ]


@pytest.fixture
def paths(tmp_path, arrays):
    return [store(tmp_path / f"{n}.zarr", array) for n, array in enumerate(arrays)]


def test_channels_follow_each_other(paths, arrays):
    volume, whole = open_image(paths), np.concatenate(arrays)
    assert (volume.shape, volume.dtype, volume.spacing, volume.unit) == (whole.shape, np.uint16, (2.0, 1.0, 1.0), "um")
    np.testing.assert_array_equal(volume.read((1, 2, 3), (4, 5, 6)), whole[:, 1:5, 2:7, 3:9])
    np.testing.assert_array_equal(volume.read((0, 0, 0), SHAPE, channels=[3, 1, 2]), whole[[3, 1, 2]])
    padded = volume.read((-1, 0, 0), (3, 10, 11), fill=7)
    assert (padded[:, 0] == 7).all()
    np.testing.assert_array_equal(padded[:, 1:], whole[:, :2])
    twin = pickle.loads(pickle.dumps(volume))
    np.testing.assert_array_equal(twin.read((0, 0, 0), SHAPE), whole)
    assert volume.decoded_bytes > 0


def test_one_path_is_the_volume_itself(paths):
    assert not isinstance(open_image(paths[0]), StackedVolume)
    assert not isinstance(open_image(paths[:1]), StackedVolume)


def test_a_box_that_any_part_stores_is_stored(tmp_path):
    ones = np.ones((1, 4, 5, 6), np.uint8)
    first = store(tmp_path / "a.zarr", np.zeros((1, *SHAPE), np.uint8), parts=[((0, 0, 0), ones)])
    second = store(tmp_path / "b.zarr", np.zeros((1, *SHAPE), np.uint8), parts=[((4, 5, 0), ones)])
    assert open_image([first, second]).stored_chunks() == [((0, 0, 0), (4, 5, 6)), ((4, 5, 0), (4, 5, 6))]
    third = store(tmp_path / "c.zarr", np.zeros((1, *SHAPE), np.uint8), fill=9, parts=[((4, 5, 0), ones)])
    assert open_image([first, third]).stored_chunks() == [((0, 0, 0), SHAPE)]


def test_the_fingerprint_is_that_of_all_parts_in_their_order(paths):
    before = open_image(paths).fingerprint()
    assert open_image(paths).fingerprint() == before
    assert open_image(paths[::-1]).fingerprint() != before
    zarr.open_group(paths[2])["0"][0] = 3
    assert open_image(paths).fingerprint() != before


def test_statistics_are_those_of_each_part(paths, arrays):
    found = volume_statistics(open_image(paths))
    whole = np.concatenate(arrays).reshape(4, -1)
    np.testing.assert_allclose(found["mean"], whole.mean(axis=1))
    np.testing.assert_allclose(found["maximum"], whole.max(axis=1))
    assert found["dtype"] == ["uint8", "uint16", "uint16", "uint8"]


def test_damaged_chunks_of_a_part_can_be_read_around(paths, arrays, tmp_path):
    (tmp_path / "1.zarr" / "0" / "c" / "0" / "0" / "0" / "0").write_bytes(b"broken")
    faults = {}
    block = tolerant_volume(open_image(paths), faults).read((0, 0, 0), SHAPE)
    np.testing.assert_array_equal(block[[0, 3]], np.concatenate(arrays)[[0, 3]])
    assert len(faults) == 1


def test_spacing_resamples_every_part(paths):
    volume = open_image(paths, (2.0, 2.0, 2.0))
    assert volume.shape == (4, 9, 5, 6)


def test_parts_on_different_grids_are_refused(tmp_path, paths):
    other = store(tmp_path / "x.zarr", np.zeros((1, *SHAPE), np.uint8), spacing=(1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match=r"0\.zarr.* and .*x\.zarr.*expected the same shape, spacing and translation"):
        open_image([paths[0], other])
    with pytest.raises(ValueError, match="got none"):
        StackedVolume([])
    assert open_volume(paths[0]).spatial_shape == SHAPE
