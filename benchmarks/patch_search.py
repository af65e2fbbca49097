"""What the patch search costs beyond merely decoding the labels, as ratios of things measured in one run.

Four label arrays, chunks of 64^3, patches of 64^3 every 32 voxels:

- dense: 512^3, every chunk stored, blobs everywhere.
- sparse: 512^3, blocks of labels in a few chunks.
- extent 65536 and extent 4096: the same 2,000 stored chunks, in blocks of 2 x 2 x 2, in volumes of 65,536^3 and
  4,096^3.

Each is searched (the last two in turns), and compared with (a) decoding its stored chunks once, chunk by chunk, with
the same reader and number of threads, (b) for the 512^3 arrays, a plain scan: one thread reads every patch of a grid
and looks for its labels with NumPy, and (c) the same chunks in the smaller volume. Memory is the highest resident size
during the search above the one after imports.

Run: python benchmarks/patch_search.py. Prints a table and writes benchmarks/results/patch_search.json.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fire
import numpy as np
import zarr
from scipy import ndimage

from scripts.patches import find_patches
from scripts.volumes import open_volume

ROOT = Path(__file__).resolve().parents[1]
PATCH, CHUNK, REPEATS = 64, 64, 9
GOAL_DECODE, GOAL_MEMORY_MB, GOAL_EXTENT = 1.5, 200, 1.2


def main(threads: int = os.cpu_count() or 1) -> None:
    """Measure, print and write.

    Args:
        threads: of the search and of the decoding that it is compared with.
    """
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for names in (("dense",), ("sparse",), ("extent 65536", "extent 4096")):
            paths = [str(Path(folder) / f"{name}.zarr") for name in names]
            for name, path in zip(names, paths, strict=True):
                ARRAYS[name](path)
            command = [sys.executable, __file__, "case", json.dumps(paths), str(threads), str(len(names) == 1)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows |= zip(names, json.loads(done.stdout.splitlines()[-1]), strict=True)
    extent = rows["extent 65536"]["search_s"] / rows["extent 4096"]["search_s"]
    machine = f"{platform.processor() or platform.machine()}, {threads} threads"
    print(f"{machine}, zarr {zarr.__version__}, NumPy {np.__version__}")
    print(f"search / decode: goal {GOAL_DECODE}; memory: goal {GOAL_MEMORY_MB} MB; 65536 / 4096: goal {GOAL_EXTENT}")
    columns = ("ratio_to_decode", "search_s", "decode_s", "scan_s", "memory_mb", "stored_chunks", "patches")
    print(f"{'labels':<14}" + "".join(f"{column:>17}" for column in columns))
    for name, row in rows.items():
        print(f"{name:<14}" + "".join(f"{row.get(column, float('nan')):>17.4g}" for column in columns))
    print(f"extent 65536 / extent 4096: {extent:.2f}")
    goals = {"ratio_to_decode": GOAL_DECODE, "memory_mb": GOAL_MEMORY_MB, "extent": GOAL_EXTENT}
    output = ROOT / "benchmarks" / "results" / "patch_search.json"
    output.parent.mkdir(exist_ok=True)
    content = {"machine": machine, "goals": goals, "extent_ratio": extent, "labels": rows}
    output.write_text(json.dumps(content, indent=2) + "\n")


def case(paths: list[str], threads: int, with_scan: bool) -> None:
    """Measure arrays and print their numbers as JSON; everything takes turns, the medians count."""
    rows: list[dict[str, Any]] = []
    for path in paths:
        label = open_volume(path)
        boxes = label.stored_chunks()
        label.read(*boxes[0])
        before = resident_mb("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # forget the highest resident size so far
        patches = search(path, threads)
        rows.append({"memory_mb": resident_mb("VmHWM") - before, "stored_chunks": len(boxes), "patches": len(patches)})
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(REPEATS):
        for name, function in (("search_s", search), ("decode_s", decode)):
            for path in paths:
                start = time.perf_counter()
                function(path, threads)
                seconds.setdefault((name, path), []).append(time.perf_counter() - start)
    for row, path in zip(rows, paths, strict=True):
        row |= {name: float(np.median(seconds[name, path])) for name in ("search_s", "decode_s")}
        row["ratio_to_decode"] = row["search_s"] / row["decode_s"]
        if with_scan:
            start = time.perf_counter()
            scan(path)
            row["scan_s"] = time.perf_counter() - start
    print(json.dumps(rows))


def search(path: str, threads: int) -> list[dict[str, Any]]:
    """The patches of an array."""
    return find_patches([{"image": path, "label": path}], [PATCH] * 3, num_workers=threads)


def decode(path: str, threads: int) -> None:
    """Read every stored chunk once."""
    label = open_volume(path)
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda box: label.read(*box), label.stored_chunks()):
            pass


def scan(path: str) -> int:
    """Number of patches that a plain scan over a grid keeps."""
    label = open_volume(path)
    kept = 0
    for start in np.ndindex(*((n - PATCH) // (PATCH // 2) + 1 for n in label.spatial_shape)):
        where = np.nonzero(label.read([n * PATCH // 2 for n in start], [PATCH] * 3)[0])
        if len(where[0]) == 0:
            continue
        bbox = np.prod([axis.max() - axis.min() + 1 for axis in where])
        kept += bool(bbox / PATCH**3 >= 0.95 and len(where[0]) / bbox >= 0.1)
    return kept


def blobs(seed: int, n: int) -> np.ndarray:
    """n^3 uint8: smooth blobs with ids."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((n, n, n)), 4, mode="wrap")
    ids, _ = ndimage.label(noise > np.quantile(noise, 0.7))
    return (ids % 250 + (ids > 0)).astype(np.uint8)


def create(path: str, n: int) -> zarr.Array:
    """An empty label array of n^3."""
    return zarr.create_array(path, shape=(n,) * 3, chunks=(CHUNK,) * 3, dtype="uint8")


def write_dense(path: str) -> None:
    create(path, 512)[...] = np.tile(blobs(0, 128), (4, 4, 4))


def write_sparse(path: str) -> None:
    array, block = create(path, 512), blobs(1, 160)
    for z, y, x in [(0, 0, 0), (300, 40, 200), (101, 333, 347)]:
        array[z : z + 160, y : y + 160, x : x + 160] = block


def write_extent(n: int) -> Any:
    """A writer of 250 blocks of 2 x 2 x 2 chunks, spread over n^3."""

    def write(path: str) -> None:
        array, block = create(path, n), blobs(2, 2 * CHUNK)
        side = n // (8 * CHUNK)
        places = np.random.default_rng(3).choice(side**3, 250, replace=False)
        for place in places:
            z, y, x = (int(i) * 8 * CHUNK for i in np.unravel_index(place, (side,) * 3))
            array[z : z + 2 * CHUNK, y : y + 2 * CHUNK, x : x + 2 * CHUNK] = block

    return write


ARRAYS = {
    "dense": write_dense,
    "sparse": write_sparse,
    "extent 65536": write_extent(65536),
    "extent 4096": write_extent(4096),
}


def resident_mb(field: str) -> float:
    """A memory size of this process, MB."""
    match = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(match[1]) / 1000 if match else float("nan")


if __name__ == "__main__":
    fire.Fire({"main": main, "case": case} if sys.argv[1:2] == ["case"] else main)
