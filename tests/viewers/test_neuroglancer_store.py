"""A layer as the client finds it; the bundle's own reader checks the metadata."""

import shutil

import numpy as np
import pytest
import zarr

from scripts.viewers import open_layers
from scripts.viewers.neuroglancer_store import LayerStore
from scripts.volumes import NORMAL_INT8, create_ome_zarr, open_volume


def as_client(store, folder):
    """Store what the client finds."""
    folder.mkdir()
    for name, content in store.documents.items():
        (folder / name).write_bytes(content)
    for n, level in enumerate(store.levels):
        if hasattr(level, "get"):
            (folder / str(n)).mkdir()
            (folder / str(n) / "zarr.json").write_bytes(level.get("zarr.json"))
        else:
            shutil.copytree(level, folder / str(n))
    return folder


def write(path, array, **options):
    options = {"spacing": (4, 2, 2), "translation": (0, 4, 8), "unit": "um", "levels": 2} | options
    writer = create_ome_zarr(path, array.shape, array.dtype, **options)
    writer.write((0, 0, 0), array, aligned=False)
    writer.finish()
    return path


def ramp(channels=1, dtype="uint8"):
    return np.arange(channels * 8 * 12 * 16).reshape(channels, 8, 12, 16).astype(dtype)


@pytest.mark.parametrize(
    ("channels", "dtype", "version", "zarr_format"),
    [(1, "uint8", "0.5", 3), (2, "uint16", "0.4", 2), (2, "float16", "0.4", 3), (1, "float16", "0.5", 3)],
)
def test_levels_and_geometry_are_those_of_the_volume(tmp_path, channels, dtype, version, zarr_format):
    path = write(tmp_path / "v.zarr", ramp(channels, dtype), version=version)
    store = LayerStore(open_layers([path])[0])
    seen = as_client(store, tmp_path / "client.zarr")
    assert store.zarr_format == zarr_format
    for level in (0, 1):
        found, expected = open_volume(seen, level=level), open_volume(path, level=level)
        assert found.shape == expected.shape
        assert (found.spacing, found.translation, found.unit) == (expected.spacing, expected.translation, "um")
        if dtype != "float16":  # whose chunks are computed: see test_neuroglancer_chunks
            np.testing.assert_array_equal(found.read((0, 0, 0), (4, 6, 8)), expected.read((0, 0, 0), (4, 6, 8)))


def test_an_array_without_metadata_gets_those_that_it_is_shown_with(tmp_path):
    scan = write(tmp_path / "scan.zarr", ramp())
    zarr.create_array(tmp_path / "label.zarr", shape=(8, 12, 16), chunks=(8, 8, 8), dtype="uint8", zarr_format=2)
    store = LayerStore(open_layers([scan, tmp_path / "label.zarr"])[1])
    found = open_volume(as_client(store, tmp_path / "client.zarr"))
    assert store.levels == [tmp_path / "label.zarr"]
    assert (found.spacing, found.translation, found.unit) == ((4, 2, 2), (0, 4, 8), "um")


def test_normals_come_with_all_channels_in_one_axis_of_the_shader(tmp_path):
    path = write(tmp_path / "n.zarr", ramp(3, "int8"), attributes=NORMAL_INT8.as_attributes())
    store = LayerStore(open_layers([path])[0])
    assert b'"axes": [{"name": "c^"}, {"name": "z"' in store.documents["zarr.json"]
    assert [level.chunks for level in store.levels] == [(3, 8, 12, 16), (3, 8, 6, 8)]
