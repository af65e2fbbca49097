"""Runs that are killed without warning, again and again, at any moment."""

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.inferers.runs import TARGETS, TwoOutputs, make_volume, numbered, snapshot

from scripts.inferers import ZarrSlidingWindowInferer, window_grid
from scripts.inferers.block_layout import BlockLayout
from scripts.volumes import OmeZarrWriter, open_volume

SHAPE = (40, 32, 36)
ARGUMENTS = {
    "roi_size": (12, 10, 12),
    "sw_batch_size": 2,
    "overlap": 0.5,
    "targets": TARGETS,
    "skip_empty": False,
    "chunk_size": 6,
    "block_size": 6,
    "levels": 4,
    "memory_limit": 100_000,
}
KILLS = ["start"] * 6 + ["blocks"] * 9 + ["pyramid"] * 5
"""Where each kill begins to wait for a random time: at the start of the process, after some blocks, in the pyramid."""

SEED = 0

PATIENCE = 20
"""Seconds within which a run must come as far as a kill waits for."""


class Slow(TwoOutputs):
    """Takes its time, and appends the windows that it is given to a file, which a kill cannot undo."""

    def __init__(self, log):
        super().__init__()
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def forward(self, x):
        outputs = super().forward(x)
        os.write(self.log, "".join(f"{value:.0f}\n" for value in self.seen[-len(x) :]).encode())
        time.sleep(0.01)
        return outputs


def predict(folder, log):
    """One run; in a process that was forked from one that had not touched any store yet."""
    torch.set_num_threads(1)
    write_level_block = OmeZarrWriter.write_level_block

    def slowly(*args):
        time.sleep(0.01)
        return write_level_block(*args)

    OmeZarrWriter.write_level_block = slowly
    folder = Path(folder)
    inferer = ZarrSlidingWindowInferer(**ARGUMENTS, output=folder / "out")
    inferer(open_volume(folder.parent / "in.zarr"), Slow(folder / log))


def wait_for(what, process):
    end = time.monotonic() + PATIENCE
    while process.is_alive() and not what():
        if time.monotonic() > end:
            raise TimeoutError(f"the run did not come so far in {PATIENCE} s")
        time.sleep(0.001)


def state(folder):
    """How far a run has come, by what stands on the disk."""
    if json_attributes(folder / "out.zarr" / "zarr.json").get("polytome"):
        return "finished"
    if in_pyramid(folder):
        return "pyramid"
    if any((folder / "out.run" / "done").glob("*.*")):
        return "blocks"
    if not (folder / "out.run" / "header.json").exists():
        return "nothing"
    return (
        "first block" if all((folder / "out.zarr" / name / "0/zarr.json").exists() for name in TARGETS) else "creation"
    )


def in_pyramid(folder):
    return any((folder / "out.zarr").glob("*/1"))


def json_attributes(file):
    return json.loads(file.read_text())["attributes"] if file.exists() else {}


def finished_blocks(folder):
    done = folder / "out.run" / "done"
    return {tuple(map(int, file.name.split("."))) for file in done.glob("*") if not file.name.endswith(".part")}


def kill_often(folder, seed, connection):
    """Run, kill, run, kill ...; then let it finish. Sends what each kill hit."""
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        connection.send("this process has threads, which a fork would lose")
        return
    folder, draw, fork = Path(folder), random.Random(seed), multiprocessing.get_context("fork")
    record = []
    for number, trigger in enumerate(KILLS):
        begun = len(finished_blocks(folder))
        process = fork.Process(target=predict, args=(folder, f"{number}.log"))
        process.start()
        if trigger == "start":
            delay = draw.uniform(0, 0.2)
        elif trigger == "blocks":
            more = draw.randint(0, 6)
            wait_for(lambda: len(finished_blocks(folder)) >= begun + more or in_pyramid(folder), process)  # noqa: B023
            delay = draw.uniform(0, 0.06)
        else:
            wait_for(lambda: in_pyramid(folder), process)
            delay = draw.uniform(0, 0.15)
        time.sleep(delay)
        process.kill()
        process.join()
        unfinished = [file.name for pattern in ("*.__lock", "*.partial", "*.part") for file in folder.rglob(pattern)]
        done = finished_blocks(folder)
        record.append({"exit": process.exitcode, "state": state(folder), "done": done, "torn": len(unfinished)})
    for target, log in ((folder, "last.log"), (folder.parent / "whole", "whole.log")):
        process = fork.Process(target=predict, args=(target, log))
        process.start()
        process.join()
        record.append({"exit": process.exitcode})
    connection.send(record)


def windows_seen(file):
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.long
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_a_run_that_is_killed_twenty_times_ends_with_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # a process that forks must not have threads
    make_volume(tmp_path / "in.zarr", numbered(SHAPE))
    for name in ("cut", "whole"):
        (tmp_path / name).mkdir()
    here, there = multiprocessing.Pipe()
    # a fresh process imports everything once, and forks the runs, which then start at once
    nursery = multiprocessing.get_context("spawn").Process(target=kill_often, args=(tmp_path / "cut", SEED, there))
    nursery.start()
    there.close()
    try:
        record = here.recv()
    finally:
        nursery.join()
    assert isinstance(record, list), record
    *kills, last, whole = record
    for trigger, kill in zip(KILLS, kills, strict=True):
        print(f"waited for {trigger}: {kill['state']}, {len(kill['done'])} blocks, {kill['torn']} torn files")
    assert (last["exit"], whole["exit"]) == (0, 0)

    assert snapshot(tmp_path / "cut" / "out.zarr") == snapshot(tmp_path / "whole" / "out.zarr")
    assert sorted(path.name for path in (tmp_path / "cut").iterdir() if path.suffix != ".log") == [
        "out.json",
        "out.zarr",
    ]

    # kills hit every phase, and killed runs did most of the work
    assert [kill["exit"] for kill in kills] == [-signal.SIGKILL] * 20
    states = {kill["state"] for kill in kills}
    assert states & {"nothing", "creation", "first block"}
    assert states >= {"blocks", "pyramid"}
    layout = layout_of_run()
    progress = [len(kill["done"]) for kill in kills]
    assert progress == sorted(progress)
    assert progress[KILLS.index("pyramid") - 1] >= 10
    assert progress[-1] == len(layout)

    # a finished block was never computed again, and each kill cost at most the block in work and the one being written
    logs = [windows_seen(tmp_path / "cut" / name) for name in (*(f"{n}.log" for n in range(20)), "last.log")]
    block_of = {window_number(layout, window): block for block in layout.blocks() for window in layout.windows(block)}
    done_after = [*(kill["done"] for kill in kills), set(layout.blocks())]
    for log, done_before, done in zip(logs, [set(), *done_after], done_after, strict=False):
        seen = {block_of[number] for number in log}
        assert not seen & done_before
        assert len(seen - done) <= 2
        assert len(log) == len(set(log))
    everything = sorted(windows_seen(tmp_path / "whole" / "whole.log"))
    assert sorted(set().union(*logs)) == everything == sorted(block_of)


def layout_of_run():
    grid = window_grid(SHAPE, ARGUMENTS["roi_size"], (0.5,) * 3)
    return BlockLayout(grid, (6, 6, 6), (6, 6, 6))


def window_number(layout, window):
    """Value of a numbered volume in the middle of a window, by which the network knows it."""
    middle = [w + (n - 1) // 2 for w, n in zip(window, layout.grid.roi_size, strict=True)]
    return int(np.ravel_multi_index(middle, SHAPE)) + 1
