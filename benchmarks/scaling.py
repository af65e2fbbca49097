"""How time and memory grow with the volume: patch search, start of a training, its steps, streaming inference.

Cubes of 128^3 to 1024^3 voxels, all of them stored and labelled, as one chunk's pattern repeated; each measurement in a
process of its own, so that peaks do not mix. The slope is that of a straight line through the logarithms: 1 is in
proportion to the number of voxels, 0 does not grow at all.

- search: patches of 64^3 in the labels, by all cores.
- start: everything that a training does before its first step, the search included.
- step: a step of this training, the mean of STEPS.
- inference: windows of 64^3, overlap 0.25, a U-Net of four features, written as OME-Zarr, with a limit of 1 GB.

Memory is the peak of the process above what it held after its imports.

Run: python benchmarks/scaling.py [--sizes 128,256,512,1024]
Prints a table, and writes benchmarks/results/scaling.json and scaling.png.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that wait must not spin

import fire
import harness
import numpy as np
import torch
from ignite.engine import Events
from scipy import ndimage

from scripts.inferers import ZarrSlidingWindowInferer
from scripts.networks import MultiTaskUNet
from scripts.patches import find_patches
from scripts.volumes import create_ome_zarr, open_volume

NAME = "scaling"
PATCH, CHUNK, STEPS = 64, 64, 10
LIMIT = 1_000_000_000  # bytes, of the inference
TARGETS = {"sheet": {"channels": 1}}
SMALLEST = 1e-3
"""Seconds, or MB: less than that is not told from nothing."""


def main(sizes: Any = "128,256,512,1024", work: str | None = None, task: str | None = None) -> None:
    """Measure, print, draw and write.

    Args:
        sizes: edges of the cubes, voxels, separated by commas.
        work, task: of one measurement, made in a process of its own: folder with the cube, and what is done with it.
    """
    if work is not None and task is not None:
        print(json.dumps(measure(task, Path(work))))
        return
    edges = [int(size) for size in harness.listed(sizes)]
    rows: harness.Rows = []
    for edge in [edges[0], *edges]:  # the first time libraries come from the disk: it does not count
        with tempfile.TemporaryDirectory() as folder:
            make_cube(Path(folder), edge)
            row: dict[str, Any] = {"edge": edge, "voxels": edge**3}
            for name in ("search", "training", "inference"):
                words = [sys.executable, __file__, "--work", folder, "--task", name]
                done = subprocess.run(words, check=True, capture_output=True, text=True)
                row |= json.loads(done.stdout.splitlines()[-1])
        rows.append(row)
        print(json.dumps(row), flush=True)
    del rows[0]
    voxels = np.log([row["voxels"] for row in rows])
    slopes = {
        key: float(np.polyfit(voxels, np.log([max(row[key], SMALLEST) for row in rows]), 1)[0])
        for key in rows[0]
        if key.endswith(("_s", "_mb")) and len(rows) > 1
    }
    harness.print_table("cost by volume", rows)
    harness.print_table("slope of log cost by log voxels", [{"what": key, "slope": slopes[key]} for key in slopes])
    harness.write_results(NAME, {"machine": harness.machine(), "rows": rows, "slopes": slopes})
    draw(rows, slopes, harness.RESULTS / f"{NAME}.png")


def make_cube(folder: Path, edge: int) -> None:
    """An image and its labels: smooth noise, and where it is high."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).random((CHUNK,) * 3), 3, mode="wrap")
    label = (noise > np.quantile(noise, 0.7)).astype(np.uint8)
    image = np.interp(noise, [noise.min(), noise.max()], [20, 230]).astype(np.uint8)
    image += np.random.default_rng(1).integers(0, 16, image.shape).astype(np.uint8)
    for name, values in (("raw", image), ("sheet", label)):
        writer = create_ome_zarr(folder / name, (1, edge, edge, edge), "uint8", spacing=(1, 1, 1), chunks=(CHUNK,) * 3)
        for start in np.ndindex(*(edge // CHUNK,) * 3):
            writer.write(tuple(CHUNK * n for n in start), values[None])


def measure(task: str, folder: Path) -> dict[str, float]:
    """One task on the cube in a folder."""
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    before = peak_mb()
    numbers = {"search": search, "training": training, "inference": inference}[task](folder)
    return {**numbers, f"{task}_mb": peak_mb() - before}


def search(folder: Path) -> dict[str, float]:
    labels = str(folder / "sheet")
    return {"search_s": timed(lambda: find_patches([{"image": labels, "sheet": labels}], [PATCH] * 3))}


def training(folder: Path) -> dict[str, float]:
    config = harness.training_config(
        folder / "run",
        targets=TARGETS,
        volumes=[{"image": str(folder / "raw"), "sheet": str(folder / "sheet"), "ref_label": "sheet"}],
        patch_size=[PATCH] * 3,
        features_per_stage=[8, 16, 32, 64],
        max_epochs=1,
        max_steps_per_epoch=STEPS + 2,
        val_interval=2,
        previews=False,
    )
    begun = time.perf_counter()
    trainer = harness.start(config)
    marks: list[float] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: marks.append(time.perf_counter()))
    trainer.add_event_handler(Events.STARTED, lambda: marks.append(time.perf_counter()))
    trainer.run()
    return {"start_s": marks[0] - begun, "step_s": (marks[-1] - marks[2]) / (len(marks) - 3)}


def inference(folder: Path) -> dict[str, float]:
    network = MultiTaskUNet(
        3, 1, TARGETS, patch_size=[PATCH] * 3, features_per_stage=[4, 8], n_blocks_per_stage=[1, 1]
    ).eval()
    inferer = ZarrSlidingWindowInferer(
        PATCH, 2, 0.25, output=folder / "out.zarr", targets=TARGETS, memory_limit=LIMIT, skip_empty=False
    )
    seconds = timed(lambda: inferer(open_volume(str(folder / "raw")), network))
    return {"inference_s": seconds}


def timed(function: Callable[[], object]) -> float:
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def draw(rows: harness.Rows, slopes: dict[str, float], path: Path) -> None:
    """Time and memory by voxels, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for axis, ending, title in zip(axes, ("_s", "_mb"), ("seconds", "MB above the imports"), strict=True):
        for key in (key for key in rows[0] if key.endswith(ending)):
            name = key.removesuffix(ending)
            label = f"{name}, slope {slopes[key]:.2f}"
            axis.plot([row["edge"] for row in rows], [row[key] for row in rows], marker="o", label=label)
        axis.set(xscale="log", yscale="log", xlabel="edge of the volume, voxels", ylabel=title)
        axis.set_xticks([row["edge"] for row in rows], [str(row["edge"]) for row in rows])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


if __name__ == "__main__":
    fire.Fire(main)
