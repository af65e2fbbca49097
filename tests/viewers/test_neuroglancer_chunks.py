"""A volume as an array that is never stored; zarr-python reads what a client would be given."""

import numpy as np
import pytest
import zarr

from scripts.viewers.neuroglancer_chunks import ReadArray
from scripts.volumes import create_ome_zarr, open_volume


def volume(folder, array, **options):
    """A stored array C D H W."""
    writer = create_ome_zarr(folder / "v.zarr", array.shape, array.dtype, spacing=(1, 1, 1), **options)
    writer.write((0, 0, 0), array, aligned=False)
    return open_volume(folder / "v.zarr")


def as_client(array, folder):
    """Store all that an array gives under its keys, and open it."""
    counts = [-(-n // c) for n, c in zip((array.volume.shape), array.chunks, strict=True)]
    keys = ["c/" + "/".join(map(str, index[-len(array.axes) :])) for index in np.ndindex(*counts)]
    for key in ["zarr.json", *keys]:
        (folder / "client" / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / "client" / key).write_bytes(array.get(key))
    return zarr.open_array(folder / "client", mode="r")


@pytest.mark.parametrize("channels_together", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_chunks_are_the_volume(tmp_path, channels, channels_together):
    values = np.random.default_rng(0).integers(-99, 99, (channels, 20, 33, 70)).astype(np.int16)
    array = ReadArray(volume(tmp_path, values), channels_together=channels_together, are_ids=False)
    assert array.chunks == (channels if channels_together else 1, 20, 33, 64)
    found = as_client(array, tmp_path)
    np.testing.assert_array_equal(found[...], values if channels > 1 else values[0])


@pytest.mark.parametrize(
    ("dtype", "are_ids", "expected"),
    [
        ("bool", False, "uint8"),
        ("float16", False, "float32"),
        ("float64", False, "float32"),
        ("int64", True, "uint64"),
        ("int64", False, "float32"),
        ("uint16", True, "uint16"),
    ],
)
def test_types_become_those_of_the_client(tmp_path, dtype, are_ids, expected):
    values = np.random.default_rng(0).integers(0, 2, (1, 4, 5, 6)).astype(dtype)
    found = as_client(ReadArray(volume(tmp_path, values), channels_together=False, are_ids=are_ids), tmp_path)
    assert found.dtype == expected
    np.testing.assert_array_equal(found[...], values[0])


def test_ids_beyond_float_stay_apart(tmp_path):
    values = np.array([2**53, 2**53 + 1, 2**63 - 1, 0], np.int64).reshape(1, 1, 2, 2)
    found = as_client(ReadArray(volume(tmp_path, values), channels_together=False, are_ids=True), tmp_path)
    assert found[...].ravel().tolist() == [2**53, 2**53 + 1, 2**63 - 1, 0]


@pytest.mark.parametrize(
    ("chunks", "expected"), [((32, 64, 96), (32, 64, 96)), ((8, 128, 128), (64,) * 3), ((256,) * 3, (64,) * 3)]
)
def test_chunks_are_those_of_the_store_where_they_are_handy(tmp_path, chunks, expected):
    create_ome_zarr(tmp_path / "v.zarr", (1, 256, 256, 256), "uint8", spacing=(1, 1, 1), chunks=chunks)
    array = ReadArray(open_volume(tmp_path / "v.zarr"), channels_together=False, are_ids=False)
    assert array.chunks == (1, *expected)


def test_what_is_not_there(tmp_path):
    array = ReadArray(volume(tmp_path, np.ones((1, 4, 4, 4), np.uint8)), channels_together=False, are_ids=False)
    assert [array.get(key) for key in ("c/0/0/1", "c/0/0", "c/0/0/0/0", "c/0/0/-1", "c", "../zarr.json", "")] == [
        None
    ] * 7
