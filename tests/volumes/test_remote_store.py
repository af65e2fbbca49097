"""Volumes behind real servers on loopback: equal to the local copy, and patient with servers that fail."""

import logging
import pickle
import shutil
import socket
import time

import numpy as np
import pytest
import zarr
from monai.data import DataLoader, Dataset
from tests.volumes import servers

from scripts.patches import find_patches, volume_faults
from scripts.transforms import LoadZarrPatchd
from scripts.volumes import CannotListError, RemoteError, create_ome_zarr, open_volume
from scripts.volumes.remote_store import limits
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


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setenv("POLYTOME_REMOTE_TRIES", "3")
    monkeypatch.setenv("POLYTOME_REMOTE_TIMEOUT", "1")


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
    assert "no credentials are set, so the bucket is read anonymously" in caplog.text


@pytest.mark.parametrize("plan", [{"failures": 2}, {"failures": 2, "status": 429}, {"resets": 2}])
def test_a_server_that_recovers_is_asked_again(folder, impatient, plan):
    with servers.web_server(folder, only="c/0/0/0", **plan) as server:
        block = open_volume(f"{server.address}/v3.zarr").read((0, 0, 0), (8, 8, 8))
        np.testing.assert_array_equal(block, open_volume(folder / "v3.zarr").read((0, 0, 0), (8, 8, 8)))
        assert server.requests.count("/v3.zarr/c/0/0/0") == 3


def test_how_often_is_set_by_the_environment(folder, impatient, monkeypatch):
    with servers.web_server(folder, only="c/0/0/0", failures=99) as server:
        volume = open_volume(f"{server.address}/v3.zarr")
        with pytest.raises(RemoteError, match=r"/v3.zarr/c/0/0/0: reading failed after 3 tries of at most 1 s each"):
            volume.read((0, 0, 0), (8, 8, 8))
        assert server.requests.count("/v3.zarr/c/0/0/0") == 3
        monkeypatch.setenv("POLYTOME_REMOTE_TRIES", "1")
        with pytest.raises(RemoteError, match="after 1 tries"):
            open_volume(f"{server.address}/v3.zarr").read((0, 0, 0), (8, 8, 8))
        assert server.requests.count("/v3.zarr/c/0/0/0") == 4


def test_a_server_that_stalls_is_given_up_in_time(folder, impatient):
    with servers.web_server(folder, only="c/0/0/0", stall=3) as server:
        volume = open_volume(f"{server.address}/v3.zarr")
        start = time.monotonic()
        with pytest.raises(RemoteError, match=f"{server.address}/v3.zarr/c/0/0/0") as caught:
            volume.read((0, 0, 0), (8, 8, 8))
        assert time.monotonic() - start < 10
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_absent_chunks_and_forbidden_ones_are_told_apart(folder, impatient):
    with servers.web_server(folder, only="c/0/0/0", failures=99, status=403) as server:
        volume = open_volume(f"{server.address}/v3.zarr")
        assert not volume.read((16, 0, 0), (8, 8, 8)).any()  # answered by 404: never stored
        with pytest.raises(RemoteError, match="the server refuses to give it"):
            volume.read((0, 0, 0), (8, 8, 8))


def test_an_unreachable_host_is_a_fault_that_names_its_url(impatient, folder):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/scan.zarr"
    start = time.monotonic()
    with pytest.raises(RemoteError, match=f"{url}.*reading failed after 3 tries"):
        open_volume(url)
    faults = volume_faults([{"image": str(folder / "v3.zarr"), "sheet": url}], {"sheet": {"channels": 1}})
    assert len(faults) == 1
    assert faults[0].startswith(f"volumes[0]: sheet: {url}")
    assert time.monotonic() - start < 10


def test_a_server_without_index_pages(folder, monkeypatch, caplog):
    with servers.web_server(folder, lists=False) as server:
        url = f"{server.address}/v3.zarr"
        with caplog.at_level(logging.WARNING):
            every = open_volume(url).stored_chunks()
        assert len(every) == 3 * 3 * 4
        assert "all of its 36 chunks are taken to be there" in caplog.text
        found = find_patches([{"image": url, "sheet": url}], (8, 8, 8))
        assert found == find_patches([{"image": url, "sheet": str(folder / "v3.zarr")}], (8, 8, 8))
        monkeypatch.setattr("scripts.volumes.zarr_source._MOST_UNLISTED", 35)
        with pytest.raises(CannotListError, match=r"does not list its files .*expected a server with index pages"):
            open_volume(url).stored_chunks()


def test_other_urls_go_through_fsspec(folder):
    assert ZarrSource(f"file://{folder}/v3.zarr").shape == SHAPE


@pytest.mark.parametrize("value", ["0", "many"])
def test_settings_that_are_no_numbers(monkeypatch, value):
    monkeypatch.setenv("POLYTOME_REMOTE_TIMEOUT", value)
    with pytest.raises(ValueError, match=f"POLYTOME_REMOTE_TIMEOUT: expected a positive number, got '{value}'"):
        limits()
