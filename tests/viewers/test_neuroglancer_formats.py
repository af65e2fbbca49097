"""Which arrays the client reads itself; test_neuroglancer_page shows that it does."""

import json

import numcodecs
import numpy as np
import pytest
import zarr

from scripts.viewers.neuroglancer_formats import NotReadByClient, StoredLevel, stored_levels
from scripts.volumes import create_ome_zarr


def image(path, dtype="uint8", channels=1, **options):
    create_ome_zarr(path, (channels, 8, 8, 8), dtype, spacing=(1, 1, 1), **options)
    return path


@pytest.mark.parametrize(
    ("options", "axes", "version"),
    [
        ({}, "zyx", 3),
        ({"version": "0.4"}, "zyx", 2),
        ({"channels": 3}, "czyx", 3),
        ({"shards": (8, 8, 8), "chunks": (4, 4, 4)}, "zyx", 3),
        ({"dtype": "float32", "compressor": None}, "zyx", 3),
        ({"dtype": "uint64", "version": "0.4", "compressor": numcodecs.Blosc()}, "zyx", 2),
    ],
)
def test_arrays_of_the_client(tmp_path, options, axes, version):
    path = image(tmp_path / "v.zarr", **options)
    assert stored_levels([f"{path}"], channels_together=False) == [StoredLevel(path / "0", axes, version)]


def test_an_array_alone_and_a_level_of_an_image_are_read_by_the_client(tmp_path):
    path = image(tmp_path / "v.zarr")
    zarr.create_array(tmp_path / "a.zarr", shape=(4, 4, 4), chunks=(2, 2, 2), dtype="uint8")
    found = [StoredLevel(path / "0", "zyx", 3)]
    assert stored_levels([f"{path}::0"], channels_together=False) == found
    assert stored_levels([f"{path / '0'}"], channels_together=False) == found
    alone = stored_levels([str(tmp_path / "a.zarr")], channels_together=False)
    assert alone == [StoredLevel(tmp_path / "a.zarr", "zyx", 3)]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"dtype": "float16"}, "its type is float16"),
        ({"dtype": "bool"}, "its type is bool"),
        ({"dtype": "int64"}, "its type is int64"),
        ({"dtype": "float64", "version": "0.4"}, "its type is <f8"),
        ({"version": "0.4", "compressor": numcodecs.LZ4()}, "its compressor is lz4"),
    ],
)
def test_types_and_codecs_that_the_client_lacks(tmp_path, options, reason):
    with pytest.raises(NotReadByClient, match=f"^{reason}$"):
        stored_levels([str(image(tmp_path / "v.zarr", **options))], channels_together=False)


@pytest.mark.parametrize("shards", [None, (8, 8, 8)])
@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3 specification")
def test_codecs_of_zarr_3_that_the_client_lacks(tmp_path, shards):
    compressor = zarr.codecs.numcodecs.BZ2()
    path = image(tmp_path / "v.zarr", shards=shards, chunks=(4, 4, 4), compressor=compressor)
    with pytest.raises(NotReadByClient, match=r"^its codec is numcodecs.bz2$"):
        stored_levels([str(path)], channels_together=False)


@pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed` codec")
def test_shards_that_are_encoded_as_a_whole(tmp_path):
    path = image(tmp_path / "v.zarr", shards=(8, 8, 8), chunks=(4, 4, 4)) / "0" / "zarr.json"
    metadata = json.loads(path.read_text())
    metadata["codecs"].append({"name": "gzip", "configuration": {"level": 1}})
    path.write_text(json.dumps(metadata))
    with pytest.raises(NotReadByClient, match=r"^its shards are encoded by gzip as a whole$"):
        stored_levels([str(tmp_path / "v.zarr")], channels_together=False)


def test_filters_of_zarr_2_are_not_overlooked(tmp_path):
    zarr.create_array(
        tmp_path / "a.zarr", shape=(4, 4, 4), chunks=(2, 2, 2), dtype="u2", zarr_format=2,
        filters=[numcodecs.Delta(dtype="u2")],
    )  # fmt: skip
    with pytest.raises(NotReadByClient, match=r"^its filter is delta$"):
        stored_levels([str(tmp_path / "a.zarr")], channels_together=False)


def test_channels_in_chunks_of_their_own(tmp_path):
    path = str(image(tmp_path / "v.zarr", channels=3))
    with pytest.raises(NotReadByClient, match=r"^its channels are in chunks of their own$"):
        stored_levels([path], channels_together=True)
    zarr.create_array(tmp_path / "a.zarr", shape=(3, 4, 4, 4), chunks=(3, 2, 2, 2), dtype="int8")
    assert len(stored_levels([str(tmp_path / "a.zarr")], channels_together=True)) == 1


def test_what_is_no_local_zarr_volume(tmp_path):
    np.save(tmp_path / "v.npy", np.zeros((4, 4, 4), np.uint8))
    zarr.create_array(tmp_path / "flat.zarr", shape=(4, 4), chunks=(2, 2), dtype="uint8")
    for path, reason in {"s3://b/v.zarr": "it is remote", str(tmp_path / "v.npy"): "it is no zarr",
                         str(tmp_path / "flat.zarr"): "its axes are y x"}.items():  # fmt: skip
        with pytest.raises(NotReadByClient, match=f"^{reason}$"):
            stored_levels([path], channels_together=False)
