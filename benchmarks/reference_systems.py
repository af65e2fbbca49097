"""This bundle and two public packages side by side: same data, same settings, same run.

- vesuvius (PyPI, 0.2.4) finds patches, loads them, and predicts volumes of scroll scans.
- cellmap-data (PyPI, 2026.3.20.1935) loads patches of CellMap's crops.

Three parts, each alone with `--part`:

- search: patches of 64^3 without overlap in sparse labels of 512^3, and of the same chunks in a volume of 2048^3, by
  the criteria of `train.json`; also as vesuvius does it by default, on labels of half the resolution.
- loading: patches at random places, image and one label, into batches of two, neither normalised nor augmented,
  through 0 and 2 workers.
- inference: 192^3 by windows of 64^3 that overlap by half, from zarr to a zarr of 8-bit probabilities, through a
  network of two convolutions. vesuvius writes the logits of every window to a store and blends them in a second step.
  It hands its network float16 on CPU, too, which no network of float32 takes (`as_it_is` is the error); the network
  here takes both. `off` is the share of voxels that differ by more than 2 of 255 from the network's pass over the whole
  volume at once, `largest` the largest difference.

Each side is a process of its own (reference_sides). They take turns; the first turn of each is looked at (what it
found, its peak memory) and not timed, of the others the median counts. The start of processes and imports are not
counted; both sides have the same number of threads, workers and patches. A ratio below 1 means that this bundle is
faster; that of the processor's time (`processor_ratio`) says less about a reader that uses idle cores, and holds on a
machine that has other work, too.

The two packages live in one environment, which is made where it is not there yet: torch first, then the two without
their requirements, then what they import, with zarr 2. Empty modules stand in for what is imported and not used here
(reference_sides/stand_ins.py), torchvision among them.

Run: python benchmarks/reference_systems.py [--part search,loading,inference] [--rounds 3] [--environment FOLDER]
Prints tables, ratio first, and writes benchmarks/results/reference_systems.json, where parts that did not run keep
their last result.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import fire
import harness
import numpy as np
import torch
import zarr
from numcodecs import Zstd
from patch_search import blobs
from reference_sides.network import SmallNetwork
from reference_sides.turns import Side, alternate

from scripts.volumes import open_volume

NAME = "reference_systems"
OWN = ("vesuvius==0.2.4", "cellmap-data==2026.3.20.1935")
THEIRS = (
    "zarr==2.18.7",
    "numcodecs==0.15.1",
    *("aiohttp", "cachetools", "einops", "fsspec", "nest_asyncio", "pandas", "pillow", "psutil", "pynrrd", "pyyaml"),
    *("requests", "scikit-image", "scipy", "tqdm", "universal-pathlib"),
)
ROUNDS = {"search": 5, "loading": 5, "inference": 3}
CHUNK, PATCH, BATCH = 64, 64, 2
CRITERIA = {"min_bbox_percent": 0.95, "min_labeled_ratio": 0.1}
PLACES = {  # of blocks of labels, and their edge
    "on the lattice": ([(0, 0, 0), (0, 320, 64), (320, 0, 128), (320, 320, 320)], 192),
    "anywhere": ([(18, 20, 30), (6, 330, 70), (340, 24, 150), (330, 334, 344)], 160),
}
SCAN, LOADED, PREDICTED = 384, 120, 192
OVERLAP = 0.5
ALMOST = 2  # of 255, which rounding logits to 16 bits and probabilities to 8 explains


def main(
    part: Any = "search,loading,inference",
    rounds: int | None = None,
    environment: str = str(harness.ROOT / ".venv-reference"),
) -> None:
    """Measure, print and write.

    Args:
        part: which parts, separated by commas.
        rounds: timed turns of each side; default as ROUNDS says.
        environment: folder of the packages' environment.
    """
    chosen = harness.choices("part", part, PARTS)
    constrained = ("-c", str(harness.ROOT / "constraints.txt"), "torch")
    python = harness.make_environment(Path(environment).absolute(), constrained, ("--no-deps", *OWN), THEIRS)
    print(f"{harness.machine()}; {', '.join(OWN)}", flush=True)
    result = harness.read_results(NAME)
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), python, rounds or ROUNDS[name])
            rows = PARTS[name](bench)
        harness.print_table(name, rows)
        versions = {"ours": f"zarr {zarr.__version__}", "theirs": ", ".join((*OWN, *THEIRS[:2]))}
        result[name] = {"machine": harness.machine(), "versions": versions, "rounds": bench.rounds, "rows": rows}
        harness.write_results(NAME, result)


class Bench:
    """The sides, the data between them, and turns.

    Args:
        folder: for data, results and what the sides print.
        python: interpreter of the other packages' environment.
        rounds: timed turns of each side.
    """

    def __init__(self, folder: Path, python: Path, rounds: int) -> None:
        self.folder = folder
        self.rounds = rounds
        self._pythons = {"polytome": Path(sys.executable), "vesuvius": python, "cellmap": python}

    @contextmanager
    def sides(self, part: str, *names: str) -> Iterator[dict[str, Side]]:
        """Sides that do a part, while the context lasts."""
        programs = Path(__file__).with_name("reference_sides")
        with ExitStack() as stack:
            yield {
                name: stack.enter_context(
                    Side(self._pythons[name], programs / f"{name}_side.py", part, self.folder / f"{name}.log")
                )
                for name in names
            }

    def compare(self, sides: Mapping[str, Side], settings: Mapping[str, Any], **own: Any) -> dict[str, dict[str, Any]]:
        """What each side answers when it is looked at, with the medians of its timed turns.

        Args:
            sides: by name.
            settings: of all of them.
            own: further ones, by the name of the side that has them.
        """
        both = [(side, {**settings, **own.get(name, {})}) for name, side in sides.items()]
        answers = alternate(both, self.rounds)
        return {name: first | medians(timed) for name, (first, timed) in zip(sides, answers, strict=True)}


def medians(turns: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Median seconds of turns, of the processor's time in them, and of what they spent outside forward passes."""
    return {
        "seconds": median(turn["seconds"] for turn in turns),
        "processor_s": median(turn["processor_s"] for turn in turns),
        "outside_s": median(turn["seconds"] - turn.get("forward_s", 0.0) for turn in turns),
    }


def search(bench: Bench) -> harness.Rows:
    """The same labels searched by both; `covered`: share of the labelled voxels that lie in a patch."""
    threads = os.cpu_count() or 1
    cases = [("on the lattice", 512, 1, 0), ("on the lattice", 512, threads, 0), ("on the lattice", 512, threads, 1)]
    cases += [("anywhere", 512, threads, 0), ("on the lattice", 2048, threads, 0)]
    rows = []
    with bench.sides("search", "polytome", "vesuvius") as sides:
        for number, (labels, edge, workers, level) in enumerate(cases):
            path = write_sparse(bench.folder / f"{number}.zarr", edge, *PLACES[labels])
            settings = {"label": str(path), "patch": PATCH, "workers": workers, **CRITERIA}
            ours, theirs = bench.compare(sides, settings, vesuvius={"level": level}).values()
            rows.append(
                {
                    **ratios(ours, theirs),
                    "system": "vesuvius",
                    "labels": f"{edge}^3, {labels}",
                    "their_resolution": "half" if level else "full",
                    "threads": workers,
                    **beside("seconds", ours, theirs),
                    "patches": len(ours["starts"]),
                    "their_patches": len(theirs["starts"]),
                    "common": len({*map(tuple, ours["starts"])} & {*map(tuple, theirs["starts"])}),
                    "covered": covered(path, ours["starts"]),
                    "their_covered": covered(path, theirs["starts"]),
                }
            )
    return rows


def covered(path: Path, starts: Sequence[Sequence[int]]) -> float:
    """Share of the labelled voxels that lie in one of some patches; all labels stand in the first 512^3."""
    labels = open_volume(path).read((0, 0, 0), (512,) * 3)[0] > 0
    n_labelled = np.count_nonzero(labels)
    for start in starts:
        labels[tuple(slice(n, n + PATCH) for n in start)] = False
    return 1 - np.count_nonzero(labels) / n_labelled


def loading(bench: Bench) -> harness.Rows:
    """One epoch of the same patches through each system's loader."""
    image, label = write_scan(bench.folder, SCAN)
    starts = np.random.default_rng(1).integers(0, SCAN - PATCH, (LOADED, 3)).tolist()
    rows = []
    for workers in (0, 2):
        settings = {"image": image, "label": label, "size": SCAN, "starts": starts, "patch": PATCH}
        settings |= {"batch": BATCH, "workers": workers}
        with bench.sides("loading", "polytome", "vesuvius", "cellmap") as sides:
            others = bench.compare(sides, settings)
        ours = others.pop("polytome")
        for system, theirs in others.items():
            rows.append(
                {
                    **ratios(ours, theirs),
                    "system": system,
                    "workers": workers,
                    "per_s": LOADED / ours["seconds"],
                    "their_per_s": LOADED / theirs["seconds"],
                    "same_voxels": (ours["patches"], ours["sums"]) == (theirs["patches"], theirs["sums"]),
                    "run_mb": ours["run_mb"],
                    "their_run_mb": theirs["run_mb"],
                }
            )
    return rows


def inference(bench: Bench) -> harness.Rows:
    """The same windows from zarr to zarr; `outside` is the time beside the forward passes."""
    image, _ = write_scan(bench.folder, PREDICTED)
    expected = probabilities_in_memory(image)
    rows = []
    for workers in (0, 2):
        settings = {"image": image, "work": str(bench.folder), "patch": PATCH, "overlap": OVERLAP}
        settings |= {"batch": BATCH, "workers": workers}
        with bench.sides("inference", "polytome", "vesuvius") as sides:
            ours, theirs = (one | seams(expected, one["output"]) for one in bench.compare(sides, settings).values())
        rows.append(
            {
                **ratios(ours, theirs),
                "outside_ratio": ours["outside_s"] / theirs["outside_s"],
                "memory_ratio": ours["run_mb"] / theirs["run_mb"],
                "system": "vesuvius",
                "workers": workers,
                "windows": ours["windows"],
                "their_windows": theirs["windows"],
                **beside("seconds", ours, theirs),
                **beside("outside_s", ours, theirs),
                **beside("run_mb", ours, theirs),
                **beside("written_mb", ours, theirs),
                **beside("off", ours, theirs),
                **beside("largest", ours, theirs),
                "as_it_is": theirs["as_it_is"],
            }
        )
    return rows


def ratios(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, float]:
    """Time, and the processor's time, as multiples of the other system's."""
    return {
        "ratio": ours["seconds"] / theirs["seconds"],
        "processor_ratio": ours["processor_s"] / theirs["processor_s"],
    }


def beside(key: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """A number of both sides."""
    return {key: ours[key], f"their_{key}": theirs[key]}


def probabilities_in_memory(image: str) -> np.ndarray:
    """What the network makes of the whole volume in one pass: probabilities times 255, D H W."""
    volume = open_volume(image)
    array = volume.read((0, 0, 0), volume.spatial_shape).astype(np.float32)  # C D H W
    with torch.no_grad():
        return 255 * torch.sigmoid(SmallNetwork()(torch.from_numpy(array)[None]))[0, 0].numpy()


def seams(expected: np.ndarray, output: str) -> dict[str, float]:
    """How a result differs from what is expected: the share of voxels beyond rounding, and the largest difference."""
    volume = open_volume(output)
    found = volume.read((0, 0, 0), volume.spatial_shape)[0].astype(np.float32)
    difference = abs(found - expected)
    return {"off": float((difference > ALMOST).mean()), "largest": float(difference.max())}


def write_sparse(path: Path, edge: int, places: Sequence[Sequence[int]], block_edge: int) -> Path:
    """Labels, edge^3, at two resolutions: blocks of blobs at some places."""
    block = blobs(1, block_edge)
    levels = write_pyramid(path, edge, n_levels=2)
    for level, start in itertools.product((0, 1), places):
        part = block[(slice(None, None, 1 + level),) * 3]
        levels[level][tuple(slice(n >> level, (n >> level) + len(part)) for n in start)] = part
    return path


def write_scan(folder: Path, edge: int) -> tuple[str, str]:
    """A noisy ramp and labels of blobs, edge^3, where and as all systems look for them."""
    rng = np.random.default_rng(0)
    tile = np.linspace(60, 180, CHUNK)[None, None, :] + rng.integers(0, 24, (CHUNK,) * 3)
    arrays = {"images/scan": tile.astype(np.uint8), "labels/scan_sheet": (blobs(0, CHUNK) > 0).astype(np.uint8)}
    paths = [folder / str(edge) / f"{name}.zarr" for name in arrays]
    for path, array in zip(paths, arrays.values(), strict=True):
        write_pyramid(path, edge)[0][...] = np.tile(array, (edge // CHUNK,) * 3)
    return str(paths[0]), str(paths[1])


def write_pyramid(path: Path, edge: int, n_levels: int = 1) -> list[zarr.Array]:
    """Empty levels of an OME-Zarr 0.4 image, which all systems read; voxels of edge 1, 2, ..."""
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    scales = [{"type": "scale", "scale": [float(1 << level)] * 3} for level in range(n_levels)]
    datasets = [{"path": str(n), "coordinateTransformations": [scale]} for n, scale in enumerate(scales)]
    group = zarr.create_group(
        path, zarr_format=2, attributes={"multiscales": [{"version": "0.4", "axes": axes, "datasets": datasets}]}
    )
    return [
        group.create_array(
            str(level), shape=(edge >> level,) * 3, chunks=(CHUNK,) * 3, dtype="uint8", compressors=Zstd(3)
        )
        for level in range(n_levels)
    ]


PARTS = {"search": search, "loading": loading, "inference": inference}

if __name__ == "__main__":
    fire.Fire(main)
