"""Blocks in any order, at the same time, or half lost: the same bytes, each window once."""

import dataclasses
import pickle
import random

import numpy as np
import pytest
import torch
from tests.inferers.runs import TARGETS, TwoOutputs, in_memory, make_volume, numbered, read, snapshot

from scripts.blockwise import Ledger
from scripts.inferers import InProcess, ZarrSlidingWindowInferer

ARGUMENTS = {
    "roi_size": (9, 8, 12),
    "sw_batch_size": 3,
    "overlap": 0.5,
    "targets": TARGETS,
    "skip_empty": False,
    "chunk_size": 5,
    "block_size": (10, 5, 10),
}
SHAPE = (27, 19, 25)


class Here:
    """Computes in this process, with its threads."""

    @property
    def threads(self):
        return torch.get_num_threads()


class InOrder(Here):
    """Predicts each block from beginning to end, in an order of its own, and merges what is left."""

    def __init__(self, order):
        self.order = order

    def run(self, job, blocks, progress):
        self.job = job
        with job.prepared():
            for block in self.order(list(blocks)):
                totals, entry = job.predict(block)
                assert entry == job.ledger.find(block)
                progress.add(totals)
        for chunk in self.order(job.unmerged()):
            progress.add(job.merge(chunk))
        assert job.unmerged() == []


class AllAtOnce(Here):
    """Every block is finished while no other one seems to be, as by as many processes; then chunks are merged.

    Args:
        most: chunks that are merged before the run is stopped.
    """

    def __init__(self, most=None):
        self.most = most

    def run(self, job, blocks, progress):
        for block in blocks:
            alone = dataclasses.replace(pickle.loads(pickle.dumps(job)), ledger=OnlyEnters(job.ledger.folder))
            with alone.prepared():
                progress.add(alone.predict(block)[0])
        job.ledger.load()
        self.unmerged = job.unmerged()
        self.kept_bytes = sum(map(len, job.partials.folder.read_all("sums/").values()))
        for n, chunk in enumerate(self.unmerged):
            if n == self.most:
                raise KeyboardInterrupt
            progress.add(job.merge(chunk))


class OnlyEnters(Ledger):
    """Does not see what others have entered."""

    def find(self, part):
        return self._entries.get(part)


def shuffled(seed):
    def shuffled(items):
        return random.Random(seed).sample(items, len(items))

    return shuffled


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    return make_volume(tmp_path_factory.mktemp("in") / "in.zarr", numbered(SHAPE))


@pytest.fixture(scope="module")
def expected(volume, tmp_path_factory):
    """Bytes, and windows, of the usual order."""
    folder, network = tmp_path_factory.mktemp("out"), TwoOutputs()
    ZarrSlidingWindowInferer(**ARGUMENTS, output=folder / "out")(volume, network)
    return snapshot(folder / "out.zarr"), sorted(network.seen)


def backwards(items):
    return items[::-1]


@pytest.mark.parametrize("order", [list, backwards, *map(shuffled, range(4))])
def test_blocks_in_any_order_give_the_same_bytes(volume, expected, tmp_path, order):
    network = TwoOutputs()
    inferer = ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "out", executor=InOrder(order))
    inferer(volume, network)
    assert snapshot(tmp_path / "out.zarr") == expected[0]
    assert sorted(network.seen) == expected[1]
    assert inferer.totals.evaluated == len(expected[1])


def test_blocks_that_are_finished_at_the_same_time_are_merged_to_the_same_bytes(volume, expected, tmp_path):
    executor = AllAtOnce()
    inferer = ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "out", executor=executor)
    inferer(volume, TwoOutputs())
    assert len(executor.unmerged) > 20
    assert inferer.totals.spilled_bytes == executor.kept_bytes > 0
    assert snapshot(tmp_path / "out.zarr") == expected[0]
    assert inferer.totals.evaluated == len(expected[1])
    assert not (tmp_path / "out.run").exists()


def test_a_run_that_stopped_while_it_merged_goes_on_with_merging(volume, expected, tmp_path):
    arguments = {**ARGUMENTS, "output": tmp_path / "out"}
    with pytest.raises(KeyboardInterrupt):
        ZarrSlidingWindowInferer(**arguments, executor=AllAtOnce(most=7))(volume, TwoOutputs())
    network = TwoOutputs()
    ZarrSlidingWindowInferer(**arguments)(volume, network)
    assert network.seen == []
    assert snapshot(tmp_path / "out.zarr") == expected[0]


def test_a_batch_never_holds_windows_of_two_blocks(volume, tmp_path):
    class Checks(InOrder):
        def run(self, job, blocks, progress):
            for step in job.reader.read(blocks):
                windows = getattr(step, "windows", [])
                assert set(windows) <= set(job.layout.windows(step.block))
                assert len(windows) <= 3
                for window, inputs in zip(windows, getattr(step, "inputs", []), strict=True):
                    cut = volume.read(window, (9, 8, 12))
                    np.testing.assert_array_equal(inputs, cut)
                    assert inputs.dtype == torch.float32
                self.steps += 1

    executor = Checks(list)
    executor.steps = 0
    ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "out", executor=executor)(volume, TwoOutputs())
    assert executor.steps > 40


class Keeps(Here):
    """Keeps the job, as it is before any block is done."""

    def run(self, job, blocks, progress):
        self.job, self.blocks = job, list(blocks)
        raise KeyboardInterrupt


@pytest.fixture
def kept(volume, tmp_path):
    executor = Keeps()
    with pytest.raises(KeyboardInterrupt):
        ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "out", executor=executor)(volume, TwoOutputs())
    return executor


def test_a_chunk_of_unfinished_blocks_cannot_be_merged(kept):
    kept.job.predict(kept.blocks[0])
    chunk = kept.job.ledger.find(kept.blocks[0])["kept"][0]
    with pytest.raises(ValueError, match=r"chunk \[?.*\]? has blocks that are not finished"):
        kept.job.merge(tuple(chunk))


def test_the_entry_of_a_block_says_what_it_wrote_and_what_it_kept(kept):
    job, first = kept.job, kept.blocks[0]
    totals, entry = job.predict(first)
    alone = [list(c) for c in job.layout.chunks(first) if list(job.layout.blocks_over(c)) == [first]]
    shared = [list(c) for c in job.layout.chunks(first) if list(job.layout.blocks_over(c)) != [first]]
    assert (sorted(entry["finished"]), sorted(entry["kept"])) == (alone, shared)
    assert entry["windows"] == totals.evaluated == job.layout.n_windows(first)
    assert totals.chunks_written == len(alone)
    assert totals.bytes_written == sum(int(np.prod(job.layout.chunk_box(tuple(c))[1])) * 4 for c in alone)  # 1 + 3 B
    assert len(job.partials.folder.read_all("sums/")) == len(shared)


def test_a_block_whose_entry_is_lost_is_done_again_to_the_same_bytes(kept, expected, tmp_path):
    """A kill after the chunks are written, and before the block is entered."""
    job, enter, lost = kept.job, kept.job.ledger.enter, []

    def loses(part, outcome):
        if len(lost) < 12 and part not in lost:
            lost.append(part)
            raise KeyboardInterrupt
        enter(part, outcome)

    job.ledger.enter = loses
    for block in shuffled(3)(kept.blocks):
        if block not in lost and len(lost) < 12:
            with pytest.raises(KeyboardInterrupt):
                job.predict(block)
        else:
            job.predict(block)
    for block in lost:
        job.predict(block)
    for chunk in job.unmerged():
        job.merge(chunk)
    job.store.finish("in", {})
    written = snapshot(tmp_path / "out.zarr")
    assert {key: content for key, content in written.items() if key != "zarr.json"} == {
        key: content for key, content in expected[0].items() if key != "zarr.json"
    }


def test_sums_of_a_finished_block_that_are_gone_are_named(kept):
    job, (first, *others) = kept.job, kept.blocks
    job.predict(first)
    job.partials.folder.delete(job.partials.folder.read_all("sums/"))
    job.partials._held.clear()
    with pytest.raises(FileNotFoundError, match=r"out\.run/sums/0\.0\.0-\S+ is gone: .* overwrite = true"):
        list(map(job.predict, others))
    assert others[-1] not in job.ledger


def test_only_active_blocks_contribute(tmp_path):
    """Windows of blocks that cannot hold anything are not waited for."""
    data = np.zeros((1, 24, 24, 24), np.float32)
    data[:, 4:8, 4:8, 4:8] = 1
    sparse, executor = make_volume(tmp_path / "in.zarr", data, chunks=(4, 4, 4)), InOrder(list)
    arguments = {**ARGUMENTS, "roi_size": 8, "chunk_size": 4, "block_size": 4, "skip_empty": True, "activate": False}
    network = TwoOutputs()
    paths = ZarrSlidingWindowInferer(**arguments, output=tmp_path / "out", executor=executor)(sparse, network)
    # windows begin at 0, 4, 8 ..., those at 0 and 4 see the voxels; a block holds one window
    assert executor.job.active == {(z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1)}
    assert executor.job.contributors((1, 1, 1)) == sorted(executor.job.active)
    assert executor.job.contributors((3, 0, 0)) == []
    assert len(network.seen) == 8
    whole = in_memory(data, TwoOutputs(), (8, 8, 8), 0.5)
    # only skipped windows reach beyond voxel 12; within 0..4 no window is left out
    np.testing.assert_allclose(read(paths["sheet"])[:, :4, :4, :4], whole["sheet"][:, :4, :4, :4], atol=1e-5)
    assert not read(paths["sheet"])[:, 12:].any()


def test_the_usual_executor_is_in_process(volume, expected, tmp_path):
    ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "out", executor=InProcess())(volume, TwoOutputs())
    assert snapshot(tmp_path / "out.zarr") == expected[0]
