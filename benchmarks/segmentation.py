"""How fast objects are found, and in how much memory.

- components: blockwise components of a volume on disk, by threads and by processes, against `cc3d` on the whole array
  in memory (reading and writing counted for both): time, and peak memory of all processes of the run, MB.
- agglomeration: watershed fragments and agglomeration of a synthetic boundary map, voxels a second, in memory and
  block by block.

Objects are matched in benchmarks/instance_matching.py.

Run: python benchmarks/segmentation.py [--part components,agglomeration] [--size 512]
Prints tables, ratio first, and writes benchmarks/results/segmentation.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import fire
import harness
import numpy as np
import psutil
from scipy import ndimage
from scipy.spatial import cKDTree

from scripts.blockwise import DaskWorkers, Threads
from scripts.segmentation import (
    Agglomerated,
    BlockSegmentation,
    Components,
    agglomerate,
    boundary_to_affinities,
    build_region_graph,
    direct_offsets,
    watershed_fragments,
)
from scripts.volumes import create_ome_zarr, open_volume

NAME = "segmentation"
CHUNK = 64
LIMIT = 500_000_000  # bytes, of the blocks at work


def main(part: Any = "components,agglomeration", size: int = 512, out: str | None = None) -> None:
    """Measure, print and write.

    Args:
        part: which parts, separated by commas.
        size: edge of the volume of `components`, voxels; that of `agglomeration` is a third of it.
        out: of one measurement, made in a process of its own: `part` says what is done with the volume there.
    """
    if out is not None:
        measure(str(part), Path(out))
        return
    result = harness.read_results(NAME)
    for name in harness.choices("part", part, PARTS):
        rows = PARTS[name](size)
        harness.print_table(name, rows)
        result[name] = {"machine": harness.machine(), "size": size, "rows": rows}
        harness.write_results(NAME, result)


def components(size: int) -> harness.Rows:
    """Time and memory of components."""
    with tempfile.TemporaryDirectory() as folder:
        make_blobs(Path(folder) / "in.zarr", size)
        found = {what: alone(what, folder) for what in ("cc3d", "one-thread", "two-threads", "two-processes")}
    whole = found["cc3d"]
    return [
        {
            "time_ratio": row["seconds"] / whole["seconds"],
            "memory_ratio": row["run_mb"] / whole["run_mb"],
            "method": what,
            "seconds": row["seconds"],
            "run_mb": row["run_mb"],
            "objects": row["objects"],
        }
        for what, row in found.items()
    ]


def alone(what: str, folder: str) -> dict[str, Any]:
    """One measurement in processes of its own; memory is that of all of them above what they hold at the beginning."""
    command = [sys.executable, __file__, "--part", what, "--out", folder]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    parent, peak, done = psutil.Process(process.pid), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            total = 0.0
            for one in [parent, *parent.children(recursive=True)]:
                try:
                    total += one.memory_full_info().uss / 1e6
                except psutil.Error:
                    continue
            peak[0] = max(peak[0], total)

    thread = threading.Thread(target=watch)
    thread.start()
    output, _ = process.communicate()
    done.set()
    thread.join()
    if process.returncode:
        raise RuntimeError(f"{what} ended with {process.returncode}")
    numbers = json.loads(output.splitlines()[-1])
    return {**numbers, "run_mb": peak[0] - numbers.pop("before_mb")}


def measure(what: str, folder: Path) -> None:
    """Label the volume of a folder, and print seconds, objects and the memory held before."""
    path, output = folder / "in.zarr", folder / f"{what}.zarr"
    before = psutil.Process().memory_full_info().uss / 1e6
    begun = time.perf_counter()
    if what == "cc3d":
        import cc3d

        volume = open_volume(path)
        labels, objects = cc3d.connected_components(
            volume.read((0, 0, 0), volume.spatial_shape)[0] > 127, connectivity=6, return_N=True
        )
        writer = create_ome_zarr(output, (1, *labels.shape), labels.dtype, spacing=(1, 1, 1), chunks=(CHUNK,) * 3)
        for z in range(0, labels.shape[0], CHUNK):
            writer.write((z, 0, 0), labels[None, z : z + CHUNK])
    else:
        workers = DaskWorkers(n_workers=2) if what == "two-processes" else Threads(2 if what == "two-threads" else 1)
        segmentation = BlockSegmentation(
            {"p": path}, Components("p", above=127), output, levels=1, memory_limit=LIMIT, workers=workers
        )
        segmentation.run()
        objects = json.loads((folder / f"{what}.json").read_text())["objects"]["objects"]
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "objects": int(objects), "before_mb": before}))


def make_blobs(path: Path, size: int) -> None:
    """Smooth noise, uint8, about half of it above 127, of which many components come."""
    noise = ndimage.gaussian_filter(
        np.random.default_rng(0).normal(size=(128, 128, 128)).astype(np.float32), 2, mode="wrap"
    )
    tile = (127.5 + 40 * (noise / noise.std() - 1)).clip(0, 255).astype(np.uint8)
    writer = create_ome_zarr(path, (1, size, size, size), "uint8", spacing=(1, 1, 1), chunks=(CHUNK,) * 3)
    for z in range(0, size, 128):
        for y in range(0, size, 128):
            for x in range(0, size, 128):
                shifted = np.roll(tile, (z // 3, y // 5, x // 7), (0, 1, 2))
                writer.write((z, y, x), shifted[None, : size - z, : size - y, : size - x])


def agglomeration(size: int) -> harness.Rows:
    """Voxels a second of each step."""
    edge = size // 3
    rng = np.random.default_rng(0)
    points = rng.random((edge**3 // 4000, 3)) * edge
    grid = np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing="ij"), -1).reshape(-1, 3)
    near, _ = cKDTree(points).query(grid, k=2, workers=-1)
    boundary = np.exp(-((near[:, 1] - near[:, 0]) ** 2) / 4).reshape(edge, edge, edge).astype(np.float32)
    rows: harness.Rows = []

    def note(step: str, begun: float) -> None:
        seconds = time.perf_counter() - begun
        rows.append({"voxels_per_s": edge**3 / seconds, "step": step, "seconds": seconds})

    begun = whole = time.perf_counter()
    fragments, n = watershed_fragments(boundary, (1, 1, 1), min_distance=2)
    note(f"watershed, {n} fragments", begun)
    begun = time.perf_counter()
    graph = build_region_graph(fragments, boundary_to_affinities(boundary), direct_offsets())
    note(f"region graph, {len(graph)} edges", begun)
    begun = time.perf_counter()
    agglomerate(graph, (0.3, 0.5, 0.7))
    note("agglomeration, 3 thresholds", begun)
    note("all, in memory", whole)
    with tempfile.TemporaryDirectory() as folder:
        writer = create_ome_zarr(f"{folder}/b.zarr", (1, edge, edge, edge), "float32", spacing=(1, 1, 1))
        writer.write((0, 0, 0), boundary[None])
        for threads in (1, 2):
            begun = time.perf_counter()
            segmenter = Agglomerated((0.3, 0.5, 0.7), boundary="b", min_distance=2, halo_length=16)
            BlockSegmentation(
                {"b": f"{folder}/b.zarr"}, segmenter, f"{folder}/o{threads}", block_size=64, levels=1,
                workers=Threads(threads),
            ).run()  # fmt: skip
            note(f"all, from disk to disk in blocks of 64^3, {threads} threads", begun)
    return rows


PARTS = {"components": components, "agglomeration": agglomeration}

if __name__ == "__main__":
    fire.Fire(main)
