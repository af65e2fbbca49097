"""Volumes behind real servers on loopback: equal to the local copy, and patient with servers that fail."""

import logging
import shutil

import numpy as np
import pytest
import zarr
from monai.data import DataLoader, Dataset
from tests.volumes import servers

from scripts.patches import find_patches
from scripts.transforms import LoadZarrPatchd
from scripts.volumes import create_ome_zarr, open_volume
from scripts.volumes.zarr_source import ZarrSource

SHAPE = (24, 20, 28)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Local stores of every kind."""
    root = tmp_path_factory.mktemp("stores")
    data = np.random.default_rng(0).integers(1, 200, SHAPE).astype(np.uint8)
    for name, options in {
        "v2.zarr": {"zarr_format": 2},
        "v3.zarr": {"zarr_format": 3},
        "sharded.zarr": {"zarr_format": 3, "shards": (16, 16, 16)},
    }.items():
        array = zarr.create_array(str(root / name), shape=SHAPE, chunks=(8, 8, 8), dtype="uint8", **options)
        array[:16] = data[:16]
    writer = create_ome_zarr(root / "ome.zarr", (1, *SHAPE), "uint8", spacing=(2, 1, 1), unit="um", chunks=(8, 8, 8))
    writer.write((0, 0, 0), data[None])
    writer.finish()
    return root


@pytest.fixture(scope="module")
def s3(folder):
    with servers.s3_server() as address:
        servers.upload(address, folder, "data")
        yield address


@pytest.fixture
def access(s3, monkeypatch):
    """Environment of someone who may read the bucket."""
    for name, value in {**servers.ACCESS, "AWS_ENDPOINT_URL": s3}.items():
        monkeypatch.setenv(name, value)
    return s3


NAMES = ["v2.zarr", "v3.zarr", "sharded.zarr", "ome.zarr", "ome.zarr::0", "ome.zarr/0"]


def equals_local(url, path):
    remote, local = open_volume(url), open_volume(path)
    for start, size in (((0, 0, 0), SHAPE), ((3, 5, 7), (13, 9, 11)), ((-2, 0, 20), (4, 4, 12))):
        np.testing.assert_array_equal(remote.read(start, size), local.read(start, size))
    assert (remote.shape, remote.spacing, remote.unit) == (local.shape, local.spacing, local.unit)
    assert remote.stored_chunks() == local.stored_chunks()
    assert remote.stored_chunks(inside_shards=True) == local.stored_chunks(inside_shards=True)


@pytest.mark.parametrize("name", NAMES)
def test_s3_equals_the_local_copy(access, folder, name):
    equals_local(f"s3://bucket/data/{name}", f"{folder}/{name}")


@pytest.mark.parametrize("name", NAMES)
def test_a_web_server_equals_the_local_copy(folder, name):
    with servers.web_server(folder) as server:
        equals_local(f"{server.address}/{name}", f"{folder}/{name}")


def test_only_touched_chunks_are_asked_for(folder):
    with servers.web_server(folder) as server:
        volume = open_volume(f"{server.address}/v3.zarr")
        server.requests.clear()
        volume.read((0, 0, 0), (8, 8, 9))
        assert sorted(server.requests) == ["/v3.zarr/c/0/0/0", "/v3.zarr/c/0/0/1"]


def test_a_label_that_changes_on_the_server_changes_the_fingerprint(access, folder, tmp_path):
    shutil.copytree(folder / "v3.zarr", tmp_path / "label.zarr")
    servers.upload(access, tmp_path / "label.zarr", "changing.zarr")
    before = open_volume("s3://bucket/changing.zarr").fingerprint()
    assert open_volume("s3://bucket/changing.zarr").fingerprint() == before
    zarr.open_array(str(tmp_path / "label.zarr"), mode="r+")[0, 0, 0] = 0
    servers.upload(access, tmp_path / "label.zarr", "changing.zarr")
    assert open_volume("s3://bucket/changing.zarr").fingerprint() != before


def test_patches_of_a_bucket_are_found_and_loaded_by_workers(access, folder):
    volumes = [{"image": f"s3://bucket/data/{name}", "sheet": "s3://bucket/data/v3.zarr"} for name in NAMES[:2]]
    local = [{"image": f"{folder}/{name}", "sheet": f"{folder}/v3.zarr"} for name in NAMES[:2]]
    patches = find_patches(volumes, (8, 8, 8))
    assert patches == find_patches(local, (8, 8, 8))
    load = LoadZarrPatchd(["image", "sheet"], {"sheet": {"channels": 1}})
    found = [
        list(
            DataLoader(
                Dataset([{**rows[p["volume"]], **p} for p in patches[:4]], load),
                num_workers=workers,
                batch_size=2,
                multiprocessing_context="forkserver" if workers else None,
                worker_init_fn=servers.Environment(),
            )
        )
        for rows, workers in ((volumes, 2), (local, 0))
    ]
    for remote, expected in zip(*found, strict=True):
        np.testing.assert_array_equal(remote["image"], expected["image"])
        np.testing.assert_array_equal(remote["sheet"], expected["sheet"])


def test_a_prediction_can_be_written_to_a_bucket(access):
    data = np.arange(8 * 8 * 8, dtype=np.float32).reshape(1, 8, 8, 8)
    writer = create_ome_zarr("s3://bucket/written.zarr", data.shape, "float32", spacing=(1, 1, 1), chunks=(4, 4, 4))
    writer.write((0, 0, 0), data)
    writer.finish()
    np.testing.assert_array_equal(open_volume("s3://bucket/written.zarr").read((0, 0, 0), (8, 8, 8)), data)


def test_without_credentials_a_bucket_is_read_anonymously(s3, folder, monkeypatch, caplog, tmp_path):
    for name in servers.ACCESS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    with caplog.at_level(logging.INFO):
        equals_local("s3://bucket/data/v3.zarr", f"{folder}/v3.zarr")
    assert "found no AWS credentials, so that the bucket is read without signing in" in caplog.text


def test_other_urls_go_through_fsspec(folder):
    assert ZarrSource(f"file://{folder}/v3.zarr").shape == SHAPE
