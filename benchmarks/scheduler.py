"""What the bookkeeping of a prediction costs as windows grow in number: time and memory without any arithmetic.

The scheduler is the real one: layout, blocks, the chunks that they finish or leave to others, the ledger on disk, what
a killed run reads when it goes on, and what hands merges to workers. The network, voxels and sums are left out. How
many windows, blocks and chunks there are does not depend on how many voxels each has, so a window of 128^3 voxels that
moves by 64 stands here as one of 4^3 that moves by 2, in blocks of 256^3 and chunks of 128^3 that shrink as much.

Columns: windows, blocks, chunks; seconds of laying out, of all blocks, of going on after a kill at half; microseconds a
window; MB that the process grew by; bytes and files on disk at the end.

Run: python benchmarks/scheduler.py [--windows 1000,10000,100000,1000000,10000000]
Prints a table, and writes benchmarks/results/scheduler.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import fire
import harness
import numpy as np
import psutil
import torch

from scripts.blockwise import Ledger, RunFolder
from scripts.inferers.block_job import BlockJob
from scripts.inferers.block_layout import BlockLayout
from scripts.inferers.distributed import _Merging
from scripts.inferers.partial_sums import PartialSums
from scripts.inferers.predictor import Predictor
from scripts.inferers.totals import Totals
from scripts.inferers.windows import window_grid

NAME = "scheduler"
ROI, STEP, CHUNK, BLOCK = 4, 2, 4, 8
MEGA = 1e6


def main(windows: Any = "1000,10000,100000,1000000,10000000", out: str | None = None) -> None:
    """Measure, print and write.

    Args:
        windows: how many, about, of each run, separated by commas.
        out: of one run, made in a process of its own: where its numbers go.
    """
    if out is not None:
        Path(out).write_text(json.dumps(measure(int(windows))))
        return
    rows = []
    for count in harness.listed(windows):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            words = [sys.executable, __file__, "--windows", str(count), "--out", file.name]
            subprocess.run(words, check=True)
            rows.append(json.loads(Path(file.name).read_text()))
    harness.print_table("bookkeeping", rows)
    harness.write_results(NAME, {"machine": harness.machine(), "rows": rows})


def measure(count: int) -> dict[str, Any]:
    """One run of about so many windows, a kill at half, and the other half."""
    edge = round(count ** (1 / 3))
    shape = [(edge - 1) * STEP + ROI] * 3
    process = psutil.Process()
    before = process.memory_info().rss
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        layout = BlockLayout(window_grid(shape, [ROI] * 3, [1 - STEP / ROI] * 3), (CHUNK,) * 3, (BLOCK,) * 3)
        blocks = list(layout.blocks())
        laid_out = time.perf_counter() - begun
        chunks = int(np.prod([-(-n // CHUNK) for n in shape]))
        first = predict(make_job(folder, layout), blocks[: len(blocks) // 2])
        begun = time.perf_counter()
        job = make_job(folder, layout)
        job.ledger.load()
        job.merged.load()
        left = [block for block in blocks if block not in job.ledger]
        resumed = time.perf_counter() - begun
        seconds = first + predict(job, left)
        grown = process.memory_info().rss - before
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        if len(job.merged) + sum(len(entry["finished"]) for _, entry in job.ledger.items()) != chunks:
            raise RuntimeError("some chunks were written by nobody, or twice")
        return {
            "windows": len(layout.grid),
            "blocks": len(blocks),
            "chunks": chunks,
            "layout_s": laid_out,
            "blocks_s": seconds,
            "resume_s": resumed,
            "us_a_window": 1e6 * (laid_out + seconds) / len(layout.grid),
            "memory_mb": grown / MEGA,
            "memory_bytes_a_window": grown / len(layout.grid),
            "files": len(files),
            "disk_mb": sum(path.stat().st_size for path in files) / MEGA,
        }


def predict(job: BlockJob, blocks: list[tuple[int, ...]]) -> float:
    """Finish blocks in their order, as a driver with workers does; returns the seconds."""
    merging = _Merging(job)
    begun = time.perf_counter()
    for chunk in merging.left_over():
        job.merge(chunk)
    for block in blocks:
        job.finish(block, Constant(job.layout, block), Totals())  # type: ignore[arg-type]
        for chunk in merging.after(block):
            job.merge(chunk)
    return time.perf_counter() - begun


def make_job(folder: str, layout: BlockLayout) -> BlockJob:
    """The job of a run that writes no voxels."""
    run = RunFolder(folder)
    predictor = Predictor(None, {}, None, torch.device("cpu"))  # type: ignore[arg-type]
    return BlockJob(
        reader=None,  # type: ignore[arg-type]
        layout=layout,
        active=None,
        predictor=predictor,
        formats={},
        weight=np.ones((ROI,) * 3, np.float32),
        store=None,  # type: ignore[arg-type]
        partials=NoSums(run, 0),
        ledger=Ledger(run, "done"),
        merged=Ledger(run, "merged"),
    )


class Constant:
    """Sums of a block, all one, in the place of `BlockSums`."""

    def __init__(self, layout: BlockLayout, block: tuple[int, ...]) -> None:
        self.size = layout.sum_box(block)[1]

    def numpy(self) -> np.ndarray:
        return np.ones((1, *self.size), np.float32)


class NoSums(PartialSums):
    """Keeps no sums: how many bytes they are is a matter of voxels, not of windows."""

    def save(self, block: tuple[int, ...], chunk: tuple[int, ...], sums: np.ndarray) -> None:
        pass

    def load(self, block: tuple[int, ...], chunk: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
        return np.ones(shape, np.float32)

    def forget(self, keys: Any) -> None:
        pass


if __name__ == "__main__":
    fire.Fire(main)
