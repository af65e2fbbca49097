"""Runs that read from a bucket, write to one, and go on there."""

import json

import numpy as np
import pytest
from tests.inferers.runs import TARGETS, TwoOutputs, in_memory, numbered, read
from tests.inferers.small_run import ARGUMENTS, SHAPE, WINDOWS, finished_blocks, stopped
from tests.volumes import servers

from scripts.inferers import ZarrSlidingWindowInferer
from scripts.volumes import open_volume


@pytest.fixture(scope="module")
def server():
    with servers.s3_server() as address:
        yield address


@pytest.fixture
def bucket(server, monkeypatch):
    """What the bucket holds below a prefix: key -> bytes."""
    for name, value in {**servers.ACCESS, "AWS_ENDPOINT_URL": server}.items():
        monkeypatch.setenv(name, value)
    client = servers.client(server)

    def objects(prefix):
        found = client.list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])
        return {
            row["Key"].removeprefix(prefix): client.get_object(Bucket="bucket", Key=row["Key"])["Body"].read()
            for row in found
        }

    return objects


def test_a_run_in_a_bucket_goes_on_to_the_same_bytes(small_volume, bucket, tmp_path):
    arguments = {**ARGUMENTS, "block_size": 16, "chunk_size": 16}
    whole = ZarrSlidingWindowInferer(**arguments, output="s3://bucket/whole.zarr")(small_volume, TwoOutputs())
    local = ZarrSlidingWindowInferer(**arguments, output=tmp_path / "out")(small_volume, TwoOutputs())
    assert whole == {name: f"s3://bucket/whole.zarr/{name}" for name in TARGETS}
    for name, path in whole.items():
        for level in range(3):
            np.testing.assert_array_equal(read(f"{path}::{level}"), read(f"{local[name]}::{level}"))
    cut = {**arguments, "output": "s3://bucket/cut"}
    stopped(small_volume, cut, 70)
    assert "header.json" in bucket("cut.run/")
    inferer = ZarrSlidingWindowInferer(**cut)
    inferer(small_volume, TwoOutputs())
    assert inferer.totals.resumed > 0
    assert bucket("cut.zarr/") == bucket("whole.zarr/")
    assert bucket("cut.run/") == bucket("whole.run/") == {}
    report = json.loads(bucket("cut.json")[""])
    assert report["windows"] == report["evaluated"] + report["resumed"] == WINDOWS
    network = TwoOutputs()
    ZarrSlidingWindowInferer(**cut)(small_volume, network)
    assert network.seen == []
    with pytest.raises(FileExistsError, match=r"s3://bucket/cut\.zarr exists; give resume"):
        ZarrSlidingWindowInferer(**cut, resume=False)(small_volume, network)


def test_a_bucket_that_holds_something_else_is_left_alone(small_volume, server, bucket):
    servers.client(server).put_object(Bucket="bucket", Key="taken.zarr/thesis.txt", Body=b"kept")
    arguments = {**ARGUMENTS, "output": "s3://bucket/taken"}
    with pytest.raises(FileExistsError, match=r"s3://bucket/taken\.zarr exists and was not written"):
        ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())
    with pytest.raises(FileExistsError, match=r"s3://bucket/taken\.zarr exists and is no zarr group"):
        ZarrSlidingWindowInferer(**arguments, overwrite=True)(small_volume, TwoOutputs())
    assert bucket("taken") == {".zarr/thesis.txt": b"kept"}


def test_input_from_a_bucket_output_to_a_bucket_and_the_run_on_this_machine(small_volume, server, bucket, tmp_path):
    servers.upload(server, small_volume.path, "data/in.zarr")
    arguments = {
        **ARGUMENTS,
        "output": "s3://bucket/{name}_out.zarr",
        "scratch": tmp_path,
        "activate": False,
        "levels": 1,
    }
    remote = open_volume("s3://bucket/data/in.zarr")
    stopped(remote, arguments)
    (folder,) = tmp_path.glob("in_out-*.run")
    assert finished_blocks(folder) > 2
    assert bucket("in_out.run/") == {}
    paths = ZarrSlidingWindowInferer(**arguments)(remote, TwoOutputs())
    assert list(tmp_path.iterdir()) == []
    expected = in_memory(numbered(SHAPE), TwoOutputs(), (10, 8, 8), 0.5)
    for name, path in paths.items():
        np.testing.assert_allclose(read(path), expected[name], atol=1e-5)


@pytest.mark.parametrize("output", ["memory://folder/out", "memory://out"])
def test_a_run_in_memory_leaves_no_local_file(small_volume, whole_run, tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    arguments = {**ARGUMENTS, "output": output}
    stopped(small_volume, arguments)
    paths = ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())
    for name, path in paths.items():
        np.testing.assert_array_equal(read(path), read(whole_run / name))
    assert list(tmp_path.iterdir()) == []
