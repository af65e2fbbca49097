"""Runs that stop and go on: after an interruption, a full disk, with other memory, here and in a bucket."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.inferers.runs import TARGETS, StopsAfter, TwoOutputs, in_memory, make_volume, numbered, read, snapshot
from tests.volumes import servers

from scripts.blockwise import RunFolder
from scripts.inferers import ZarrSlidingWindowInferer
from scripts.inferers.store import PredictionStore
from scripts.volumes import OmeZarrWriter, open_volume

ARGUMENTS = {
    "roi_size": (10, 8, 8),
    "overlap": 0.5,
    "targets": TARGETS,
    "skip_empty": False,
    "chunk_size": 8,
    "block_size": 8,
    "levels": 3,
}
SHAPE = (26, 24, 20)
WINDOWS = 5 * 5 * 4
BLOCKS = 3 * 3 * 2
"""Windows begin at 0, 5, 10, 15 and 16 along z, at 0, 4 ... 16 along y, at 0, 4, 8 and 12 along x."""


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    return make_volume(tmp_path_factory.mktemp("in") / "in.zarr", numbered(SHAPE))


@pytest.fixture(scope="module")
def whole(volume, tmp_path_factory):
    """Output of an undisturbed run."""
    inferer = ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path_factory.mktemp("out") / "out")
    paths = inferer(volume, TwoOutputs())
    assert inferer.totals.windows == WINDOWS
    return Path(paths["sheet"]).parent


@pytest.fixture(scope="module")
def expected(whole):
    """Its bytes."""
    return snapshot(whole)


def stopped(volume, arguments, windows=50):
    """A run that stops when it is given more windows than a number."""
    network = StopsAfter(windows)
    with pytest.raises(KeyboardInterrupt):
        ZarrSlidingWindowInferer(**arguments)(volume, network)
    return network


def finished_blocks(folder):
    return len(RunFolder(folder).read_all("done/"))


def test_what_is_finished_is_not_computed_again_and_the_report_counts_it(volume, expected, tmp_path):
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    first = stopped(volume, arguments)
    entries = [json.loads(entry) for entry in RunFolder(tmp_path / "out.run").read_all("done/").values()]
    second, inferer = TwoOutputs(), ZarrSlidingWindowInferer(**arguments)
    inferer(volume, second)
    assert snapshot(tmp_path / "out.zarr") == expected
    assert not (tmp_path / "out.run").exists()
    report = json.loads((tmp_path / "out.json").read_text())
    for totals in (report, inferer.totals.as_dict()):
        assert totals["windows"] == totals["evaluated"] + totals["skipped"] + totals["resumed"] == WINDOWS
        assert totals["resumed"] == sum(entry["windows"] for entry in entries) >= 30
        assert totals["evaluated"] == len(second.seen)
    assert len(set(first.seen) | set(second.seen)) == WINDOWS
    assert len(set(first.seen) & set(second.seen)) <= len(first.seen) - inferer.totals.resumed


def test_sharded_output_goes_on_to_the_same_bytes(volume, tmp_path):
    arguments = {**ARGUMENTS, "chunk_size": 4, "shard_size": 8}
    ZarrSlidingWindowInferer(**arguments, output=tmp_path / "whole")(volume, TwoOutputs())
    for windows in (20, 40, 60):
        stopped(volume, {**arguments, "output": tmp_path / "cut"}, windows // 3)
    ZarrSlidingWindowInferer(**arguments, output=tmp_path / "cut")(volume, TwoOutputs())
    assert snapshot(tmp_path / "cut.zarr") == snapshot(tmp_path / "whole.zarr")


@pytest.mark.parametrize("after", [None, 1])
def test_other_memory_keeps_the_blocks_of_the_run(volume, tmp_path, after):
    arguments = {**ARGUMENTS, "block_size": None, "chunk_size": 4}
    before = {**arguments, "memory_limit": 400_000}
    ZarrSlidingWindowInferer(**before, output=tmp_path / "whole")(volume, TwoOutputs())
    stopped(volume, {**before, "output": tmp_path / "cut"})
    stopped(volume, {**arguments, "memory_limit": after, "output": tmp_path / "other"}, 1)
    kept, other = (
        json.loads((tmp_path / f"{name}.run" / "header.json").read_text())["block_size"] for name in ("cut", "other")
    )
    assert kept != other  # with that memory a new run has other blocks
    inferer = ZarrSlidingWindowInferer(**arguments, output=tmp_path / "cut", memory_limit=after)
    inferer(volume, TwoOutputs())
    assert inferer.totals.resumed > 0
    assert snapshot(tmp_path / "cut.zarr") == snapshot(tmp_path / "whole.zarr")


def test_a_run_is_not_gone_on_with_unless_it_may(volume, tmp_path, expected):
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    stopped(volume, arguments)
    before = snapshot(tmp_path)
    with pytest.raises(FileExistsError, match=r"out\.zarr exists; give resume = true, overwrite = true"):
        ZarrSlidingWindowInferer(**arguments, resume=False)(volume, TwoOutputs())
    with pytest.raises(ValueError, match=r"run with other settings: sw_batch_size: 1 -> 2\. Give the same"):
        ZarrSlidingWindowInferer(**arguments, sw_batch_size=2)(volume, TwoOutputs())
    with pytest.raises(ValueError, match=r"settings: region\[0\]\[0\]: 0 -> 2; region\[1\]\[0\]: 26 -> 24\."):
        ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs(), region=[[2, 0, 0], SHAPE])
    assert snapshot(tmp_path) == before
    inferer = ZarrSlidingWindowInferer(**arguments, overwrite=True)
    inferer(volume, TwoOutputs())
    assert (inferer.totals.resumed, inferer.totals.evaluated) == (0, WINDOWS)
    assert snapshot(tmp_path / "out.zarr") == expected


def test_an_output_is_not_replaced_before_it_is_sure_that_the_run_can_begin(volume, expected, tmp_path):
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())
    (tmp_path / "out.run").mkdir()
    (tmp_path / "out.run" / "thesis.txt").write_text("kept")
    with pytest.raises(FileExistsError, match=r"out\.run exists and is no unfinished run"):
        ZarrSlidingWindowInferer(**arguments, overwrite=True)(volume, TwoOutputs())
    assert snapshot(tmp_path / "out.zarr") == expected


def test_a_changed_input_is_noticed(tmp_path):
    volume = make_volume(tmp_path / "in.zarr", numbered(SHAPE))
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    stopped(volume, arguments)
    shutil.rmtree(tmp_path / "in.zarr" / "0" / "c" / "0")
    with pytest.raises(ValueError, match="run with other settings: input_fingerprint: "):
        ZarrSlidingWindowInferer(**arguments)(open_volume(volume.path), TwoOutputs())


def test_another_activation_is_another_run(volume, tmp_path):
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    rows = {"sheet": {"channels": 1, "kind": "scalar"}}
    stopped(volume, {**arguments, "targets": rows})
    rows = {"sheet": {"channels": 1, "kind": "scalar", "activation": "sigmoid"}}
    with pytest.raises(ValueError, match=r"run with other settings: .*sigmoid"):
        ZarrSlidingWindowInferer(**{**arguments, "targets": rows})(volume, TwoOutputs())


def test_a_wrong_setting_leaves_nothing_behind(volume, tmp_path):
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    with pytest.raises(ValueError, match="has at most 6 levels, got 50"):
        ZarrSlidingWindowInferer(**{**arguments, "levels": 50})(volume, TwoOutputs())
    ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())  # put right, it runs


def test_an_output_that_somebody_deleted_is_predicted_anew(volume, expected, tmp_path):
    """What is left beside it speaks of chunks that are gone."""
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    stopped(volume, arguments)
    shutil.rmtree(tmp_path / "out.zarr")
    ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())
    assert snapshot(tmp_path / "out.zarr") == expected


def test_a_target_that_somebody_deleted_is_predicted_anew_whatever_happens_meanwhile(volume, expected, tmp_path):
    """A finished run without one of its images is no longer finished."""
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())
    shutil.rmtree(tmp_path / "out.zarr" / "normals")
    stopped(volume, arguments)
    ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())
    assert snapshot(tmp_path / "out.zarr") == expected


def killed(*_args, **_options):
    raise KeyboardInterrupt


@pytest.mark.parametrize("kept", range(5))
def test_kills_during_the_first_steps_of_each_start_are_made_good(volume, expected, tmp_path, kept, monkeypatch):
    """The first start is killed while it creates an image, the next one after a few changes of the disk."""
    arguments, changes = {**ARGUMENTS, "output": tmp_path / "out"}, []

    def counted(original):
        def change(*args, **options):
            if len(changes) == kept:
                raise KeyboardInterrupt
            changes.append(args)
            return original(*args, **options)

        return change

    with monkeypatch.context() as patch:
        patch.setattr(OmeZarrWriter, "create", killed)
        with pytest.raises(KeyboardInterrupt):
            ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())
    with monkeypatch.context() as patch:
        for owner, method in ((RunFolder, "write"), (RunFolder, "remove"), (OmeZarrWriter, "create")):
            patch.setattr(owner, method, counted(getattr(owner, method)))
        with pytest.raises(KeyboardInterrupt):
            ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())
    ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())
    assert snapshot(tmp_path / "out.zarr") == expected


def test_a_kill_while_the_very_first_file_is_written_is_made_good(volume, expected, tmp_path, monkeypatch):
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())
    ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())
    assert snapshot(tmp_path / "out.zarr") == expected


def test_runs_of_two_outputs_do_not_mix_in_one_scratch_folder(volume, expected, tmp_path):
    arguments = {**ARGUMENTS, "scratch": tmp_path / "scratch"}
    stopped(volume, {**arguments, "output": tmp_path / "a" / "out"})
    ZarrSlidingWindowInferer(**arguments, output=tmp_path / "b" / "out")(volume, TwoOutputs())
    assert snapshot(tmp_path / "b" / "out.zarr") == expected


@pytest.mark.parametrize("last", ["remove", "write"])
def test_a_kill_at_the_very_end_leaves_nothing_that_the_next_start_does_not_finish(
    volume, expected, tmp_path, last, monkeypatch
):
    """Before the run's folder is removed, and before the report is written."""
    arguments, original = {**ARGUMENTS, "output": tmp_path / "out"}, getattr(RunFolder, last)

    def killed(self, *args):
        if last == "remove" or args[0] == "out.json":
            raise KeyboardInterrupt
        return original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, last, killed)
        with pytest.raises(KeyboardInterrupt):
            ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())
    network = TwoOutputs()
    ZarrSlidingWindowInferer(**arguments)(volume, network)
    assert network.seen == []
    assert snapshot(tmp_path / "out.zarr") == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "out.zarr"]


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("owner", "method", "key", "call"),
    [
        (PredictionStore, "write", None, 3),
        (PredictionStore, "write", None, 25),
        (RunFolder, "write", "sums/", 20),
        (RunFolder, "write", "done/", 7),
        (OmeZarrWriter, "write_level_block", None, 5),
    ],
)
def test_a_full_disk_is_said_and_the_next_start_goes_on(
    volume, expected, tmp_path, owner, method, key, call, monkeypatch
):
    arguments, original, calls = {**ARGUMENTS, "output": tmp_path / "out"}, getattr(owner, method), []

    def full(self, *args, **options):
        if key is None or args[0].startswith(key):
            calls.append(args)
            if len(calls) >= call:
                raise FULL
        return original(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, full)
        with pytest.raises(OSError, match=r"out\.zarr: no space left on the device\.") as caught:
            ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())
    assert caught.value.errno == errno.ENOSPC
    done = finished_blocks(tmp_path / "out.run")
    message = f"{done} of {BLOCKS} blocks are finished and stay; free some space and start the same run again"
    assert message in str(caught.value)
    inferer = ZarrSlidingWindowInferer(**arguments)
    inferer(volume, TwoOutputs())
    assert inferer.totals.resumed >= done
    assert snapshot(tmp_path / "out.zarr") == expected


def test_other_errors_of_the_system_keep_their_words(volume, tmp_path, monkeypatch):
    def denied(*_):
        raise PermissionError(errno.EACCES, "Permission denied", "out.zarr/sheet")

    monkeypatch.setattr(PredictionStore, "write", denied)
    with pytest.raises(PermissionError, match=r"Permission denied: 'out\.zarr/sheet'"):
        ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "out")(volume, TwoOutputs())


def test_sums_that_are_gone_stop_the_run_with_their_name(volume, tmp_path):
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    stopped(volume, arguments)
    shutil.rmtree(tmp_path / "out.run" / "sums")
    with pytest.raises(FileNotFoundError, match=r"out\.run/sums/\S+ is gone: .* Start anew with overwrite = true"):
        ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())
    ZarrSlidingWindowInferer(**arguments, overwrite=True)(volume, TwoOutputs())


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


def test_a_run_in_a_bucket_goes_on_to_the_same_bytes(volume, bucket, tmp_path):
    arguments = {**ARGUMENTS, "block_size": 16, "chunk_size": 16}
    whole = ZarrSlidingWindowInferer(**arguments, output="s3://bucket/whole.zarr")(volume, TwoOutputs())
    local = ZarrSlidingWindowInferer(**arguments, output=tmp_path / "out")(volume, TwoOutputs())
    assert whole == {name: f"s3://bucket/whole.zarr/{name}" for name in TARGETS}
    for name, path in whole.items():
        for level in range(3):
            np.testing.assert_array_equal(read(f"{path}::{level}"), read(f"{local[name]}::{level}"))
    cut = {**arguments, "output": "s3://bucket/cut"}
    stopped(volume, cut, 70)
    assert "header.json" in bucket("cut.run/")
    inferer = ZarrSlidingWindowInferer(**cut)
    inferer(volume, TwoOutputs())
    assert inferer.totals.resumed > 0
    assert bucket("cut.zarr/") == bucket("whole.zarr/")
    assert bucket("cut.run/") == bucket("whole.run/") == {}
    report = json.loads(bucket("cut.json")[""])
    assert report["windows"] == report["evaluated"] + report["resumed"] == WINDOWS
    network = TwoOutputs()
    ZarrSlidingWindowInferer(**cut)(volume, network)
    assert network.seen == []
    with pytest.raises(FileExistsError, match=r"s3://bucket/cut\.zarr exists; give resume"):
        ZarrSlidingWindowInferer(**cut, resume=False)(volume, network)


def test_a_bucket_that_holds_something_else_is_left_alone(volume, server, bucket):
    servers.client(server).put_object(Bucket="bucket", Key="taken.zarr/thesis.txt", Body=b"kept")
    arguments = {**ARGUMENTS, "output": "s3://bucket/taken"}
    with pytest.raises(FileExistsError, match=r"s3://bucket/taken\.zarr exists and is no prediction"):
        ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())
    with pytest.raises(FileExistsError, match=r"s3://bucket/taken\.zarr exists and is no zarr group"):
        ZarrSlidingWindowInferer(**arguments, overwrite=True)(volume, TwoOutputs())
    assert bucket("taken") == {".zarr/thesis.txt": b"kept"}


def test_input_from_a_bucket_output_to_a_bucket_and_the_run_on_this_machine(volume, server, bucket, tmp_path):
    servers.upload(server, volume.path, "data/in.zarr")
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
def test_a_run_in_memory_leaves_no_local_file(volume, whole, tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    arguments = {**ARGUMENTS, "output": output}
    stopped(volume, arguments)
    paths = ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())
    for name, path in paths.items():
        np.testing.assert_array_equal(read(path), read(whole / name))
    assert list(tmp_path.iterdir()) == []
