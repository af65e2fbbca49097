"""How fast patches are read, and what is lost between the store and the training step.

Five parts, each alone with `--part`:

- readers: patches per second of zarr-python, its codec pipeline in Rust (zarrs) and tensorstore.
- loading: `LoadZarrPatchd` / a plain loop that reads the same boxes of the same arrays with tensorstore; also with the
  training transforms of `train.json`, and through 0, 1 and 2 workers.
- cache: reads from a warm chunk cache / reads without cache; and what a cache costs that is never hit.
- workers: seconds to the first batch and batches per second, per kind of worker.
- memory: resident size of 4 workers after 100 batches and at the end of `--batches`.

Run: python benchmarks/patch_loading.py [--part readers,cache] [--seconds 2] [--batches 1000]
Prints tables, ratio first, and writes benchmarks/results/patch_loading.json, where parts that did not run keep their
last result.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch

import fire
import numpy as np
import tensorstore
import torch
import zarr
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset, ThreadDataLoader
from numcodecs import Blosc, Zstd
from scipy import ndimage
from zarr.codecs import BloscCodec, ZstdCodec

from scripts.volumes import Volume, open_volume, set_chunk_cache

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "patch_loading.json"
CHUNKS, SHARDS = (64, 64, 64), (256, 256, 256)
LAYOUTS: dict[str, dict[str, Any]] = {
    "v2 lz4": {"zarr_format": 2, "compressors": Blosc("lz4", 5, Blosc.SHUFFLE)},
    "v2 zstd": {"zarr_format": 2, "compressors": Zstd(3)},
    "v3 lz4": {"compressors": BloscCodec(cname="lz4", clevel=5)},
    "v3 zstd": {"compressors": ZstdCodec(level=3)},
    "v3 zstd, sharded": {"compressors": ZstdCodec(level=3), "shards": SHARDS},
}
COMMON = ("v2 zstd", "v3 zstd", "v3 zstd, sharded")
KEYS = ("image", "sheet", "ink")
TARGETS = {"sheet": {"channels": 1, "kind": "label"}, "ink": {"channels": 1, "kind": "label"}}
GOALS = {"loading": 0.9, "cache": 5.0}
WORKERS = ("spawn", "forkserver", "forkserver, preloaded", "threads")
PRELOAD = ["scripts.transforms", "monai.data", "torch"]
Box = tuple[slice, ...]
Rows = list[dict[str, Any]]


def main(
    part: Any = "readers,loading,cache,workers,memory", size: int = 384, seconds: float = 2, batches: int = 1000
) -> None:
    """Measure, print and write.

    Args:
        part: which parts, separated by commas.
        size: edge of the arrays, voxels.
        seconds: time that each number is measured for.
        batches: batches of the memory part.
    """
    chosen = list(part) if isinstance(part, (list, tuple)) else part.split(",")  # fire makes a tuple of a,b
    if not set(chosen) <= set(PARTS):
        raise ValueError(f"part = {part}; expected some of {', '.join(PARTS)}")
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    print(f"{machine}; arrays of {size}^3 uint8, chunks of 64^3, shards of 256^3")
    result: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        create_arrays(Path(folder), size)
        for name in chosen:
            rows = PARTS[name](Path(folder), size, batches if name == "memory" else seconds)
            print_table(name, rows)
            result |= {"machine": machine, "size": size, name: rows}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


def create_arrays(folder: Path, size: int) -> None:
    """A smooth image with noise, and two label arrays that follow it; each in every layout."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.standard_normal((size,) * 3).astype(np.float32), 3)
    smooth /= smooth.std()
    image = np.clip(smooth * 40 + 128 + 4 * rng.standard_normal(smooth.shape), 0, 255)
    arrays = {"image": image.astype("u1"), "sheet": (abs(smooth) < 0.3).astype("u1"), "ink": (smooth > 2).astype("u1")}
    for layout, (key, array) in itertools.product(LAYOUTS, arrays.items()):
        target = zarr.create_array(
            folder / layout / key, shape=array.shape, chunks=CHUNKS, dtype="u1", **LAYOUTS[layout]
        )
        target[...] = array


def readers(folder: Path, size: int, seconds: float) -> Rows:
    """Patches per second of each reader; the ratio is to zarr-python on the same store."""
    rows = []
    installed = [name for name in READERS if importlib.util.find_spec(name.replace("-python", "")) is not None]
    for name in set(READERS) - set(installed):
        print(f"{name} is left out: it is not installed")
    for layout, edge, threads in itertools.product(LAYOUTS, (64, 96), (1, 2)):
        opened = {name: READERS[name](str(folder / layout / "image")) for name in installed}
        speeds = rates(opened, random_boxes(size, edge), seconds, threads)
        row = {"layout": layout, "patch": edge, "threads": threads}
        rows += [{"ratio": s / speeds["zarr-python"], "reader": n, **row, "per_s": s} for n, s in speeds.items()]
    return rows


def open_tensorstore(path: str) -> Callable[[Box], np.ndarray]:
    """A function that reads a box with tensorstore."""
    driver = "zarr3" if (Path(path) / "zarr.json").exists() else "zarr"
    store = tensorstore.open({"driver": driver, "kvstore": {"driver": "file", "path": f"{path}/"}}, read=True).result()
    return lambda box: store[box].read().result()


def open_zarr(
    path: str, pipeline: str = "zarr.core.codec_pipeline.BatchedCodecPipeline"
) -> Callable[[Box], np.ndarray]:
    """A function that reads a box with zarr-python, through one of its codec pipelines."""
    with zarr.config.set({"codec_pipeline.path": pipeline}):
        array = zarr.open_array(path, mode="r")

    def read(box: Box) -> np.ndarray:
        return np.asarray(array[box])

    return read


def open_zarrs(path: str) -> Callable[[Box], np.ndarray]:
    """A function that reads a box with zarr-python and the codecs in Rust."""
    importlib.import_module("zarrs")  # registers the pipeline
    return open_zarr(path, "zarrs.ZarrsCodecPipeline")


READERS = {"zarr-python": open_zarr, "zarrs": open_zarrs, "tensorstore": open_tensorstore}


def loading(folder: Path, size: int, seconds: float) -> Rows:
    """Patches per second through `LoadZarrPatchd`; the ratio is to a plain loop over the same boxes in this process."""
    rows = []
    for layout, edge in itertools.product(COMMON, (64, 96)):
        boxes = random_boxes(size, edge)
        stores = [open_tensorstore(str(folder / layout / key)) for key in KEYS]

        def raw(number: int, stores: Any = stores, boxes: Any = boxes) -> None:
            for read in stores:
                read(boxes[number])

        datasets = {name: make_dataset(folder / layout, boxes, name) for name in ("load", "train")}
        here: dict[str, Callable[[int], Any]] = {name: dataset.__getitem__ for name, dataset in datasets.items()}
        speeds = rates({"raw loop": raw} | here, range(len(boxes)), seconds)
        found = [(name, 0, speed) for name, speed in speeds.items()]
        for name, workers in itertools.product(datasets, (1, 2)):
            loader = make_loader(datasets[name], "forkserver", workers)
            found.append((name, workers, through_loader(loader, seconds)["per_s"]))
        row = {"layout": layout, "patch": edge}
        rows += [{"ratio": s / speeds["raw loop"], **row, "case": n, "workers": w, "per_s": s} for n, w, s in found]
    return rows


def cache(folder: Path, size: int, seconds: float) -> Rows:
    """Patches of 64^3 per second with a warm cache, and with one that is too small to be hit; the ratio is to none."""
    rows = []
    for layout in LAYOUTS:
        volume = open_volume(folder / layout / "image")

        def read(box: Box, volume: Volume = volume) -> None:
            volume.read([s.start for s in box], (64, 64, 64))

        speeds: dict[str, float] = {}
        for name, limit in {"no cache": 0, "warm cache": 2 * size**3, "cache without hits": 8 * 64**3}.items():
            set_chunk_cache(limit)
            volume.read((0, 0, 0), (size, size, size))
            speeds |= rates({name: read}, random_boxes(size, 64), seconds)
        set_chunk_cache(0)
        rows += [{"ratio": s / speeds["no cache"], "layout": layout, "case": n, "per_s": s} for n, s in speeds.items()]
    return rows


def worker_kinds(folder: Path, size: int, seconds: float) -> Rows:
    """Two workers of each kind, each kind in a program of its own; the ratio is to `spawn`, batches per second."""
    rows: Rows = []
    for kind in WORKERS:
        command = [sys.executable, __file__, "one_kind", str(folder), str(size), str(seconds), kind]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "bundle")}
        run = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        speed = json.loads(run.stdout.splitlines()[-1])
        rows.append({"kind": kind, "first_batch_s": speed["first_batch_s"], "batches_per_s": speed["per_s"] / 2})
    return [{"ratio": row["batches_per_s"] / rows[0]["batches_per_s"], **row} for row in rows]


def one_kind(folder: str, size: int, seconds: float, kind: str) -> None:
    """One row of `worker_kinds`, printed as JSON."""
    dataset = make_dataset(Path(folder) / "v3 zstd", random_boxes(size, 64), "train")
    if kind.endswith("preloaded"):
        multiprocessing.set_forkserver_preload(PRELOAD)
    print(json.dumps(through_loader(make_loader(dataset, kind.split(",")[0], 2), seconds)))


def memory(folder: Path, size: int, batches: float) -> Rows:
    """Resident size of four workers together; the ratio is to that at batch 100."""
    rows: Rows = []
    for cache_bytes in (0, 64 * 2**20):
        dataset = make_dataset(folder / "v3 zstd", random_boxes(size, 64), "train", cache_bytes=cache_bytes)
        warnings.filterwarnings("ignore", "This DataLoader will create 4 worker processes")
        loader = make_loader(dataset, "forkserver", 4)
        sizes: dict[int, float] = {}
        done = 0
        while done < batches:
            iterator = iter(loader)
            for _ in iterator:
                done += 1
                if done in (100, batches):
                    sizes[done] = sum(resident_mb(worker.pid) for worker in iterator._workers)
                if done >= batches:
                    break
        del iterator, loader
        first = sizes[min(sizes)]
        rows += [
            {"ratio": mb / first, "cache_mb": cache_bytes >> 20, "batch": at, "mb": mb} for at, mb in sizes.items()
        ]
    return rows


def make_dataset(folder: Path, boxes: list[Box], transforms: str, cache_bytes: int = 0) -> Dataset:
    """Patches of one layout, loaded only, or with everything that `train.json` does to them.

    Args:
        folder: of the arrays.
        boxes: where the patches are.
        transforms: `load` or `train`.
        cache_bytes: limit of the chunk cache.
    """
    paths = {key: str(folder / key) for key in KEYS}
    config = ConfigParser()
    config.read_config(ROOT / "bundle" / "configs" / "train.json")
    volumes = [{**paths, "ref_label": "sheet"}]
    config.update({"targets": TARGETS, "volumes": volumes, "output_dir": str(folder), "load#cache_bytes": cache_bytes})
    data = [
        {**paths, "start": [s.start for s in box], "size": [s.stop - s.start for s in box], "volume": 0}
        for box in boxes
    ]
    return Dataset(data, config.get_parsed_content("load" if transforms == "load" else "train#preprocessing"))


def make_loader(dataset: Dataset, kind: str, workers: int) -> Any:
    """A loader of batches of two; `kind` is a start method, or `threads`."""
    if kind == "threads":
        return ThreadDataLoader(dataset, batch_size=2, num_workers=workers, use_thread_workers=True)
    return DataLoader(dataset, batch_size=2, num_workers=workers, persistent_workers=True, multiprocessing_context=kind)


def through_loader(loader: Any, seconds: float) -> dict[str, float]:
    """Seconds to the first batch, and patches per second once every worker delivers."""
    start = time.perf_counter()
    batches = itertools.chain.from_iterable(itertools.repeat(loader))  # epoch after epoch
    next(batches)
    first_batch = time.perf_counter() - start
    for _ in range(4 * loader.num_workers):
        next(batches)
    start, patches = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        patches += len(next(batches)["image"])
    return {"first_batch_s": first_batch, "per_s": patches / (time.perf_counter() - start)}


def random_boxes(size: int, edge: int, count: int = 400) -> list[Box]:
    """Boxes at random starts, which touch several chunks."""
    starts = np.random.default_rng(1).integers(0, size - edge + 1, (count, 3)).tolist()
    return [tuple(slice(low, low + edge) for low in start) for start in starts]


def rates(
    functions: Mapping[str, Callable[[Any], Any]], items: Iterable[Any], seconds: float, threads: int = 1
) -> dict[str, float]:
    """Calls per second of each function: the best of three turns that alternate, since others use the machine, too."""
    chosen = list(items)
    turns = [{n: _rate(f, chosen, seconds / 3, threads) for n, f in functions.items()} for _ in range(3)]
    return {name: max(turn[name] for turn in turns) for name in functions}


def _rate(function: Callable[[Any], Any], items: list[Any], seconds: float, threads: int) -> float:
    def work(offset: int) -> int:
        done = 0
        for item in itertools.cycle(items[offset:] + items[:offset]):
            if time.perf_counter() > end:
                break
            function(item)
            done += 1
        return done

    function(items[0])
    start = time.perf_counter()
    end = start + seconds
    if threads == 1:
        return work(0) / (time.perf_counter() - start)
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(work, range(0, len(items), len(items) // threads)))
    return done / (time.perf_counter() - start)


def resident_mb(pid: int) -> float:
    """Resident size of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def print_table(name: str, rows: Rows) -> None:
    """One line per row, columns as wide as their widest cell."""
    goal = f" (goal of the ratio {GOALS[name]:g})" if name in GOALS else ""
    cells = [list(rows[0]), *([f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(f"\n{name}{goal}")
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


PARTS = {"readers": readers, "loading": loading, "cache": cache, "workers": worker_kinds, "memory": memory}

if __name__ == "__main__":
    if sys.argv[1:2] == ["one_kind"]:
        one_kind(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5])
    else:
        fire.Fire(main)
