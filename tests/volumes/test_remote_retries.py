"""Servers that fail: how often they are asked, how long they are waited for, and what is said in the end."""

import os
import pickle
import socket
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
import zarr
from monai.data import DataLoader, Dataset
from tests.volumes import servers

from scripts.patches import volume_faults
from scripts.transforms import LoadZarrPatchd
from scripts.volumes import RemoteError, create_ome_zarr, open_volume
from scripts.volumes.retries import Patience

CHUNK = "/x.zarr/c/0/0/0"
BOX = (0, 0, 0), (8, 8, 8)


@pytest.fixture(scope="module")
def data():
    return np.random.default_rng(0).integers(1, 200, (16, 8, 8)).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("stores")
    zarr.create_array(str(root / "x.zarr"), shape=data.shape, chunks=(8, 8, 8), dtype="uint8")[...] = data
    zarr.create_array(str(root / "v2.zarr"), shape=data.shape, chunks=(8, 8, 8), dtype="uint8", zarr_format=2)[:8] = 1
    writer = create_ome_zarr(root / "ome.zarr", (1, *data.shape), "uint8", spacing=(2, 1, 1), chunks=(8, 8, 8))
    writer.write((0, 0, 0), data[None])
    writer.finish()
    return root


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    for name, value in {"TRIES": "3", "TIMEOUT": "0.5", "WAIT": "0.02"}.items():
        monkeypatch.setenv(f"POLYTOME_REMOTE_{name}", value)


@pytest.fixture
def unreachable():
    """URL of a port at which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/scan.zarr"


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param({"failures": 2}, id="503"),
        pytest.param({"failures": 2, "status": 500}, id="500"),
        pytest.param({"failures": 2, "status": 429}, id="429"),
        pytest.param({"resets": 2}, id="closed-connection"),
        pytest.param({"cuts": 2}, id="half-an-answer"),
    ],
)
def test_a_server_that_recovers_is_asked_again(folder, data, plan):
    with servers.web_server(folder, only=CHUNK, **plan) as server:
        np.testing.assert_array_equal(open_volume(f"{server.address}/x.zarr").read(*BOX)[0], data[:8])
        assert server.requests.count(CHUNK) == 3


@pytest.mark.parametrize("status", [400, 403, 404, 501])
def test_an_answer_that_stays_is_not_asked_for_again(folder, status):
    with servers.web_server(folder, only=CHUNK, failures=99, status=status) as server:
        volume = open_volume(f"{server.address}/x.zarr")
        if status == 404:
            assert not volume.read(*BOX).any()  # a chunk that was never stored
        else:
            with pytest.raises(RemoteError, match=rf"{server.address}{CHUNK}: the server answered {status} \w+"):
                volume.read(*BOX)
        assert server.requests.count(CHUNK) == 1


def test_the_environment_says_how_often(folder, monkeypatch):
    with servers.web_server(folder, only=CHUNK, failures=99) as server:
        volume = open_volume(f"{server.address}/x.zarr")
        message = rf"{server.address}{CHUNK}: the server answered 503 Service Unavailable \({{}} in 0\.\d s\)"
        with pytest.raises(RemoteError, match=message.format("3 tries")):
            volume.read(*BOX)
        assert server.requests.count(CHUNK) == 3
        monkeypatch.setenv("POLYTOME_REMOTE_TRIES", "1")
        with pytest.raises(RemoteError, match=message.format("1 try")):
            volume.read(*BOX)
        assert server.requests.count(CHUNK) == 4


def test_the_environment_says_how_long_before_the_next_try(folder, monkeypatch):
    monkeypatch.setenv("POLYTOME_REMOTE_WAIT", "0.4")
    with servers.web_server(folder, only=CHUNK, failures=2) as server:
        volume, start = open_volume(f"{server.address}/x.zarr"), time.monotonic()
        volume.read(*BOX)
        assert time.monotonic() - start > 0.75 * (0.4 + 0.8)


def test_pauses_double_up_to_a_limit():
    patience = Patience(tries=9, timeout=1, wait=1)
    for tried, expected in ((1, 1), (2, 2), (3, 4), (6, 30), (8, 30)):
        pauses = [patience.pause(tried) for _ in range(50)]
        assert 0.75 * expected <= min(pauses) < max(pauses) <= 1.25 * expected


def test_a_silent_server_is_given_up_in_time(folder, monkeypatch):
    with servers.web_server(folder, only=CHUNK, stall=2) as server:
        volume = open_volume(f"{server.address}/x.zarr")
        start = time.monotonic()
        with pytest.raises(RemoteError, match=rf"{server.address}{CHUNK}: no answer in time \(3 tries in") as caught:
            volume.read(*BOX)
        assert 1.5 <= time.monotonic() - start < 4
        monkeypatch.setenv("POLYTOME_REMOTE_TIMEOUT", "6")
        assert open_volume(f"{server.address}/x.zarr").read(*BOX).any()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_slow_answer_is_waited_for_while_it_moves(folder, data, monkeypatch):
    with servers.web_server(folder, only=CHUNK, drip=0.1) as server:
        monkeypatch.setenv("POLYTOME_REMOTE_TIMEOUT", "0.3")
        np.testing.assert_array_equal(open_volume(f"{server.address}/x.zarr").read(*BOX)[0], data[:8])  # takes 1 s
        monkeypatch.setenv("POLYTOME_REMOTE_TIMEOUT", "0.05")
        with pytest.raises(RemoteError, match=rf"{CHUNK}: (no answer in time|the answer was not complete in time)"):
            open_volume(f"{server.address}/x.zarr").read(*BOX)


def test_a_host_that_never_answered_is_a_fault_at_once(folder, unreachable, monkeypatch):
    for name in ("TRIES", "TIMEOUT", "WAIT"):
        monkeypatch.delenv(f"POLYTOME_REMOTE_{name}")
    start = time.monotonic()
    with pytest.raises(RemoteError, match=rf"{unreachable}/\S+: Connection refused \(2 tries in .*Check the address"):
        open_volume(unreachable)
    faults = volume_faults([{"image": f"{folder}/x.zarr", "sheet": unreachable}], {"sheet": {"channels": 1}})
    assert len(faults) == 1
    assert faults[0].startswith(f"volumes[0]: sheet: {unreachable}/")
    assert time.monotonic() - start < 4


def test_a_host_that_has_answered_is_waited_for(unreachable, monkeypatch):
    monkeypatch.setattr("scripts.volumes.retries._reached", {urlsplit(unreachable)[:2]})
    with pytest.raises(RemoteError, match=r"Connection refused \(3 tries"):
        open_volume(unreachable)


def test_an_unknown_host_is_named():
    with pytest.raises(RemoteError, match=r"http://nosuchhost\.invalid/x\.zarr/\S+: .*\(2 tries"):
        open_volume("http://nosuchhost.invalid/x.zarr")


def test_the_error_comes_back_from_a_worker(folder):
    with servers.web_server(folder, only=CHUNK, failures=99) as server:
        row = {"image": f"{server.address}/x.zarr", "start": [0] * 3, "size": [8] * 3}
        loader = DataLoader(
            Dataset([row], LoadZarrPatchd("image")),
            num_workers=1,
            multiprocessing_context="forkserver",
            worker_init_fn=servers.Environment(),
        )
        with pytest.raises(RuntimeError, match=rf"{server.address}{CHUNK}: the server answered 503 .*\(3 tries in"):
            list(loader)


def test_metadata_behind_a_failing_server_are_not_taken_for_absent(folder):
    with servers.web_server(folder) as server:
        assert open_volume(f"{server.address}/ome.zarr/0").spacing == (2, 1, 1)
        server.plan.update(only="/ome.zarr/zarr.json", failures=99)
        with pytest.raises(RemoteError, match=rf"{server.address}/ome.zarr/zarr.json: the server answered 503"):
            open_volume(f"{server.address}/ome.zarr/0")  # else its spacing would be 1


def test_servers_that_refuse_what_is_absent(folder):
    with servers.web_server(folder, refuses_absent=True) as server:
        volume = open_volume(f"{server.address}/v2.zarr")  # zarr.json is asked for first
        assert volume.read(*BOX).all()
        with pytest.raises(RemoteError, match=r"v2.zarr/1.0.0: the server answered 403 Forbidden. Its owner decides"):
            volume.read((8, 0, 0), (8, 8, 8))
        with pytest.raises(RemoteError, match=r"/none.zarr/\S+: the server answered 403 Forbidden"):
            open_volume(f"{server.address}/none.zarr")


def test_a_server_that_answers_everything_with_a_page(folder):
    with (
        servers.web_server(folder, page="<html>Welcome</html>") as server,
        pytest.raises(ValueError, match=rf"{server.address}/x.zarr/\S+: the metadata there are no JSON"),
    ):
        open_volume(f"{server.address}/x.zarr")


def test_a_server_without_byte_ranges(tmp_path):
    array = zarr.create_array(tmp_path / "x.zarr", shape=(16,) * 3, chunks=(8,) * 3, shards=(16,) * 3, dtype="u1")
    array[...] = 1
    with servers.web_server(tmp_path, ranges=False) as server:
        volume = open_volume(f"{server.address}/x.zarr")
        assert volume.read((0, 0, 0), (16, 16, 16)).all()  # whole shards need no range
        with pytest.raises(RemoteError, match=rf"{server.address}{CHUNK}: the server ignores byte ranges"):
            volume.read((0, 0, 0), (8, 8, 8))


def test_volumes_of_a_server_share_its_connections(folder):
    with servers.web_server(folder) as server:
        for _ in range(8):
            open_volume(f"{server.address}/x.zarr").read(*BOX)
        assert len(server.requests) > 40
        assert len(server.callers) <= 10


def test_a_forked_process_is_told_to_start_otherwise(folder, monkeypatch):
    with servers.web_server(folder) as server:
        open_volume(f"{server.address}/x.zarr")
        monkeypatch.setattr("scripts.volumes.bucket_store._owner", os.getpid() + 1)  # as the child of a fork sees it
        with pytest.raises(
            RemoteError, match=r"x\.zarr: this process was forked .*multiprocessing_context='forkserver'"
        ):
            open_volume(f"{server.address}/x.zarr")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("TRIES", "0", "at least 1, got '0'"),
        ("TRIES", "2.5", "a whole number, got 2.5"),
        ("TIMEOUT", "many", "got 'many'"),
        ("TIMEOUT", "0", "at least 0.01, got '0'"),
        ("WAIT", "-1", "at least 0, got '-1'"),
        ("WAIT", "inf", "got 'inf'"),
    ],
)
def test_settings_that_do_not_fit(monkeypatch, name, value, expected):
    monkeypatch.setenv(f"POLYTOME_REMOTE_{name}", value)
    with pytest.raises(ValueError, match=f"POLYTOME_REMOTE_{name}: expected .*{expected}"):
        Patience.of_environment()
