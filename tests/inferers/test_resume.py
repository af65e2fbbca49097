"""Runs that stop and go on: after an interruption, with other memory, with other settings."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from tests.inferers.runs import TwoOutputs, make_volume, numbered, snapshot
from tests.inferers.small_run import ARGUMENTS, SHAPE, WINDOWS, stopped

from scripts.blockwise import RunFolder
from scripts.inferers import ZarrSlidingWindowInferer
from scripts.volumes import OmeZarrWriter, open_volume


def test_what_is_finished_is_not_computed_again_and_the_report_counts_it(small_volume, whole_bytes, tmp_path):
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    first = stopped(small_volume, arguments)
    entries = [json.loads(entry) for entry in RunFolder(tmp_path / "out.run").read_all("done/").values()]
    second, inferer = TwoOutputs(), ZarrSlidingWindowInferer(**arguments)
    inferer(small_volume, second)
    assert snapshot(tmp_path / "out.zarr") == whole_bytes
    assert not (tmp_path / "out.run").exists()
    report = json.loads((tmp_path / "out.json").read_text())
    for totals in (report, inferer.totals.as_dict()):
        assert totals["windows"] == totals["evaluated"] + totals["skipped"] + totals["resumed"] == WINDOWS
        assert totals["resumed"] == sum(entry["windows"] for entry in entries) >= 30
        assert totals["evaluated"] == len(second.seen)
    assert len(set(first.seen) | set(second.seen)) == WINDOWS
    assert len(set(first.seen) & set(second.seen)) <= len(first.seen) - inferer.totals.resumed


def test_sharded_output_goes_on_to_the_same_bytes(small_volume, tmp_path):
    arguments = {**ARGUMENTS, "chunk_size": 4, "shard_size": 8}
    ZarrSlidingWindowInferer(**arguments, output=tmp_path / "whole")(small_volume, TwoOutputs())
    for windows in (20, 40, 60):
        stopped(small_volume, {**arguments, "output": tmp_path / "cut"}, windows // 3)
    ZarrSlidingWindowInferer(**arguments, output=tmp_path / "cut")(small_volume, TwoOutputs())
    assert snapshot(tmp_path / "cut.zarr") == snapshot(tmp_path / "whole.zarr")


@pytest.mark.parametrize("after", [None, 1])
def test_other_memory_keeps_the_blocks_of_the_run(small_volume, tmp_path, after):
    arguments = {**ARGUMENTS, "block_size": None, "chunk_size": 4}
    before = {**arguments, "memory_limit": 400_000}
    ZarrSlidingWindowInferer(**before, output=tmp_path / "whole")(small_volume, TwoOutputs())
    stopped(small_volume, {**before, "output": tmp_path / "cut"})
    stopped(small_volume, {**arguments, "memory_limit": after, "output": tmp_path / "other"}, 1)
    kept, other = (
        json.loads((tmp_path / f"{name}.run" / "header.json").read_text())["block_size"] for name in ("cut", "other")
    )
    assert kept != other  # with that memory a new run has other blocks
    inferer = ZarrSlidingWindowInferer(**arguments, output=tmp_path / "cut", memory_limit=after)
    inferer(small_volume, TwoOutputs())
    assert inferer.totals.resumed > 0
    assert snapshot(tmp_path / "cut.zarr") == snapshot(tmp_path / "whole.zarr")


def test_a_run_is_not_gone_on_with_unless_it_may(small_volume, tmp_path, whole_bytes):
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    stopped(small_volume, arguments)
    before = snapshot(tmp_path)
    with pytest.raises(FileExistsError, match=r"out\.zarr exists; give resume = true, overwrite = true"):
        ZarrSlidingWindowInferer(**arguments, resume=False)(small_volume, TwoOutputs())
    with pytest.raises(ValueError, match=r"run with other settings: sw_batch_size: 1 -> 2\. Give the same"):
        ZarrSlidingWindowInferer(**arguments, sw_batch_size=2)(small_volume, TwoOutputs())
    with pytest.raises(ValueError, match=r"settings: region\[0\]\[0\]: 0 -> 2; region\[1\]\[0\]: 26 -> 24\."):
        ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs(), region=[[2, 0, 0], SHAPE])
    assert snapshot(tmp_path) == before
    inferer = ZarrSlidingWindowInferer(**arguments, overwrite=True)
    inferer(small_volume, TwoOutputs())
    assert (inferer.totals.resumed, inferer.totals.evaluated) == (0, WINDOWS)
    assert snapshot(tmp_path / "out.zarr") == whole_bytes


def test_an_output_is_not_replaced_before_it_is_sure_that_the_run_can_begin(small_volume, whole_bytes, tmp_path):
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())
    (tmp_path / "out.run").mkdir()
    (tmp_path / "out.run" / "thesis.txt").write_text("kept")
    with pytest.raises(FileExistsError, match=r"out\.run exists and is no unfinished run"):
        ZarrSlidingWindowInferer(**arguments, overwrite=True)(small_volume, TwoOutputs())
    assert snapshot(tmp_path / "out.zarr") == whole_bytes


def test_another_number_of_threads_goes_on_and_says_so(small_volume, tmp_path, caplog):
    arguments, threads = {**ARGUMENTS, "output": tmp_path / "out"}, torch.get_num_threads()
    stopped(small_volume, arguments)
    try:
        torch.set_num_threads(threads + 1)
        inferer = ZarrSlidingWindowInferer(**arguments)
        inferer(small_volume, TwoOutputs())
    finally:
        torch.set_num_threads(threads)
    assert inferer.totals.resumed > 0
    assert f"goes on with threads: {threads} -> {threads + 1}: numbers may be rounded otherwise" in caplog.text


def test_a_changed_input_is_noticed(tmp_path):
    small_volume = make_volume(tmp_path / "in.zarr", numbered(SHAPE))
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    stopped(small_volume, arguments)
    shutil.rmtree(tmp_path / "in.zarr" / "0" / "c" / "0")
    with pytest.raises(ValueError, match="run with other settings: input_fingerprint: "):
        ZarrSlidingWindowInferer(**arguments)(open_volume(small_volume.path), TwoOutputs())


def test_another_activation_is_another_run(small_volume, tmp_path):
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    rows = {"sheet": {"channels": 1, "kind": "scalar"}}
    stopped(small_volume, {**arguments, "targets": rows})
    rows = {"sheet": {"channels": 1, "kind": "scalar", "activation": "sigmoid"}}
    with pytest.raises(ValueError, match=r"run with other settings: .*sigmoid"):
        ZarrSlidingWindowInferer(**{**arguments, "targets": rows})(small_volume, TwoOutputs())


def test_a_wrong_setting_leaves_nothing_behind(small_volume, tmp_path):
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    with pytest.raises(ValueError, match="has at most 6 levels, got 50"):
        ZarrSlidingWindowInferer(**{**arguments, "levels": 50})(small_volume, TwoOutputs())
    ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())  # put right, it runs


def test_an_output_that_somebody_deleted_is_predicted_anew(small_volume, whole_bytes, tmp_path):
    """What is left beside it speaks of chunks that are gone."""
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    stopped(small_volume, arguments)
    shutil.rmtree(tmp_path / "out.zarr")
    ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())
    assert snapshot(tmp_path / "out.zarr") == whole_bytes


def test_a_target_that_somebody_deleted_is_predicted_anew_whatever_happens_meanwhile(
    small_volume, whole_bytes, tmp_path
):
    """A finished run without one of its images is no longer finished."""
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())
    shutil.rmtree(tmp_path / "out.zarr" / "normals")
    stopped(small_volume, arguments)
    ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())
    assert snapshot(tmp_path / "out.zarr") == whole_bytes


def killed(*_args, **_options):
    raise KeyboardInterrupt


@pytest.mark.parametrize("kept", range(5))
def test_kills_during_the_first_steps_of_each_start_are_made_good(
    small_volume, whole_bytes, tmp_path, kept, monkeypatch
):
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
            ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())
    with monkeypatch.context() as patch:
        for owner, method in ((RunFolder, "write"), (RunFolder, "remove"), (OmeZarrWriter, "create")):
            patch.setattr(owner, method, counted(getattr(owner, method)))
        with pytest.raises(KeyboardInterrupt):
            ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())
    ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())
    assert snapshot(tmp_path / "out.zarr") == whole_bytes


def test_a_kill_while_the_very_first_file_is_written_is_made_good(small_volume, whole_bytes, tmp_path, monkeypatch):
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())
    ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())
    assert snapshot(tmp_path / "out.zarr") == whole_bytes


def test_runs_of_two_outputs_do_not_mix_in_one_scratch_folder(small_volume, whole_bytes, tmp_path):
    arguments = {**ARGUMENTS, "scratch": tmp_path / "scratch"}
    stopped(small_volume, {**arguments, "output": tmp_path / "a" / "out"})
    ZarrSlidingWindowInferer(**arguments, output=tmp_path / "b" / "out")(small_volume, TwoOutputs())
    assert snapshot(tmp_path / "b" / "out.zarr") == whole_bytes


def test_a_kill_while_the_report_is_written_leaves_no_part_of_it(small_volume, tmp_path, monkeypatch):
    arguments, replace = {**ARGUMENTS, "output": tmp_path / "[a] out"}, Path.replace

    def killed_at_the_report(path, target):
        if target.name == "[a] out.json":
            raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed_at_the_report)
        with pytest.raises(KeyboardInterrupt):
            ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())
    assert len(list(tmp_path.glob("*.part"))) == 1
    ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["[a] out.json", "[a] out.zarr"]


@pytest.mark.parametrize("last", ["remove", "write"])
def test_a_kill_at_the_very_end_leaves_nothing_that_the_next_start_does_not_finish(
    small_volume, whole_bytes, tmp_path, last, monkeypatch
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
            ZarrSlidingWindowInferer(**arguments)(small_volume, TwoOutputs())
    network = TwoOutputs()
    ZarrSlidingWindowInferer(**arguments)(small_volume, network)
    assert network.seen == []
    assert snapshot(tmp_path / "out.zarr") == whole_bytes
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "out.zarr"]
