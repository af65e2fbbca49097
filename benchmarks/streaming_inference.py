"""What streaming a volume from zarr to OME-Zarr costs beyond the network's arithmetic, in time and in memory.

Five parts, each alone with `--part`:

- network: wall time of the run / sum of the forward passes within it, with a network of about 5 M parameters, and the
  bytes that were decoded / the bytes of the volume.
- trivial: MB of input a second with one 1x1x1 convolution for a network, where reading, blending and writing are all
  there is / MB a second of copying the array chunk by chunk by the same reader and writer.
- memory: peak resident memory of the process, with a limit of 200 MB, over volumes of growing extent, each in a
  process of its own: full ones, sparse ones that are mostly skipped, and one of 8192^3 voxels of which 200 chunks are
  stored.
- monai: time and peak memory / those of MONAI's inferer on the whole volume in memory.
- workers: 1, 2, 4 worker processes: windows (equal), bytes (equal), time.

Run: python benchmarks/streaming_inference.py [--part network,trivial,memory,monai,workers] [--size 256]
Prints tables, ratio first, and writes benchmarks/results/streaming_inference.json, where a part that did not run keeps
its last result.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that wait must not spin

import fire
import harness
import numpy as np
import torch
from monai.inferers import SlidingWindowInferer

from scripts.inferers import Distributed, ZarrSlidingWindowInferer
from scripts.networks import MultiTaskUNet
from scripts.volumes import create_ome_zarr, open_volume

TARGETS = {"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}
ONE = {"depth": {"channels": 1, "kind": "scalar"}}
FEATURES = [16, 32, 64, 128, 256]  # 5 M parameters
ROI, OVERLAP, BATCH = 64, 0.25, 2
CHUNK = 64
SPARSE_CHUNKS = 200
LIMIT = 200_000_000  # bytes, in `memory`
GOALS = {"network": 1.10, "trivial": 0.4}


def main(part: Any = "network,trivial,memory,monai,workers", size: int = 256, out: str | None = None) -> None:
    """Measure, print and write.

    Args:
        part: which parts, separated by commas.
        size: edge of the volume of all parts but `memory`, voxels.
        out: of one measurement of `memory` or `monai`, made in a process of its own: where its numbers go.
    """
    if out is not None:
        Path(out).write_text(json.dumps(measure(str(part), size)))
        return
    chosen = harness.choices("part", part, PARTS)
    print(f"{harness.machine()}; windows of {ROI}^3, overlap {OVERLAP}, batches of {BATCH}", flush=True)
    result = harness.read_results("streaming_inference")
    for name in chosen:
        rows = PARTS[name](size)
        harness.print_table(f"{name}{f' (goal {GOALS[name]})' if name in GOALS else ''}", rows)
        result[name] = {"machine": harness.machine(), "size": size, "goal": GOALS.get(name), "rows": rows}
        harness.write_results("streaming_inference", result)


def network(size: int) -> harness.Rows:
    """Run time against forward passes."""
    net = large_network()
    forward = 0.0

    def timed(x: torch.Tensor) -> Any:
        nonlocal forward
        begun = time.perf_counter()
        result = net(x)
        forward += time.perf_counter() - begun
        return result

    with tempfile.TemporaryDirectory() as folder:
        volume = open_volume(make_volume(Path(folder) / "in.zarr", size))
        with torch.no_grad():
            net(torch.zeros(BATCH, 1, ROI, ROI, ROI))  # warm up
        inferer = ZarrSlidingWindowInferer(
            ROI, BATCH, OVERLAP, output=Path(folder) / "out", targets=TARGETS, memory_limit=4_000_000_000
        )
        begun = time.perf_counter()
        inferer(volume, timed)
        wall = time.perf_counter() - begun
    return [
        {
            "ratio": wall / forward,
            "read_amplification": inferer.totals.bytes_read / size**3,
            "wall_s": wall,
            "forward_s": forward,
            "windows": inferer.totals.evaluated,
            "parameters": sum(parameter.numel() for parameter in net.parameters()),
        }
    ]


def trivial(size: int) -> harness.Rows:
    """Input per second against copying; as uint8 and as float32, the better of three turns each.

    Windows go one by one: oneDNN is a hundred times slower at this convolution for larger batches.
    """
    rows = []
    for dtype in ("uint8", "float32"):
        ours, theirs = [], []
        with tempfile.TemporaryDirectory() as folder:
            path = make_volume(Path(folder) / "in.zarr", size, dtype=dtype)
            for turn in range(3):
                begun = time.perf_counter()
                copy(path, Path(folder) / f"copy{turn}.zarr")
                theirs.append(time.perf_counter() - begun)
                inferer = ZarrSlidingWindowInferer(
                    ROI, 1, OVERLAP, output=Path(folder) / f"out{turn}", targets=ONE, float_dtype="float16", levels=1
                )
                begun = time.perf_counter()
                inferer(open_volume(path), Pointwise())
                ours.append(time.perf_counter() - begun)
        megabytes = size**3 * np.dtype(dtype).itemsize / 1e6
        rows.append(
            {
                "ratio": min(theirs) / min(ours),
                "input": dtype,
                "mb_per_s": megabytes / min(ours),
                "copy_mb_per_s": megabytes / min(theirs),
                "seconds": min(ours),
                "copy_seconds": min(theirs),
            }
        )
    return rows


def memory(_: int) -> harness.Rows:
    """Peak memory by extent, and what of it was there before the run.

    The ratio is that to the full volume of 512^3; smaller ones do not fill what the limit allows.
    """
    cases = [("full", 256), ("full", 384), ("full", 512), ("sparse", 512), ("sparse", 1024), ("sparse", 8192)]
    rows = [{"case": kind, "extent": size, **alone(f"memory-{kind}", size)} for kind, size in cases]
    floor = next(row["peak_mb"] for row in rows if row["extent"] == 512)
    return [{"ratio": row["peak_mb"] / floor, **row} for row in rows]


def monai(size: int) -> harness.Rows:
    """The same windows by this bundle and by MONAI, each in a process of its own.

    Memory is compared with one 1x1x1 convolution, since a large network's activations would hide it.
    """
    rows = []
    for name in ("large", "trivial"):
        ours, theirs = (alone(f"{name}-{who}", size) for who in ("ours", "theirs"))
        rows.append(
            {
                "time_ratio": ours["seconds"] / theirs["seconds"],
                "memory_ratio": ours["run_mb"] / theirs["run_mb"] if name == "trivial" else None,
                "network": name,
                "seconds": ours["seconds"],
                "monai_seconds": theirs["seconds"],
                "run_mb": ours["run_mb"],
                "monai_run_mb": theirs["run_mb"],
            }
        )
    return rows


def workers(size: int) -> harness.Rows:
    """The same run by 1, 2 and 4 processes of one thread each; starting them is part of the time."""
    rows: harness.Rows = []
    with tempfile.TemporaryDirectory() as folder:
        volume = open_volume(make_volume(Path(folder) / "in.zarr", size // 2))
        for n in (1, 2, 4):
            out = Path(folder) / f"out{n}"
            inferer = ZarrSlidingWindowInferer(
                ROI, BATCH, OVERLAP, output=out, targets=TARGETS, block_size=96, executor=Distributed(n_workers=n)
            )
            begun = time.perf_counter()
            inferer(volume, large_network())
            rows.append(
                {
                    "workers": n,
                    "seconds": time.perf_counter() - begun,
                    "windows": inferer.totals.evaluated,
                    "bytes": digest(Path(f"{out}.zarr")),
                }
            )
    return [{"ratio": row["seconds"] / rows[0]["seconds"], **row} for row in rows]


PARTS = {"network": network, "trivial": trivial, "memory": memory, "monai": monai, "workers": workers}


def alone(what: str, size: int) -> dict[str, Any]:
    """Numbers of one measurement, made in a process of its own, so that peaks do not mix."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "numbers.json"
        command = [sys.executable, __file__, "--part", what, "--size", str(size), "--out", str(out)]
        subprocess.run(command, check=True)
        return json.loads(out.read_text())


def measure(what: str, size: int) -> dict[str, Any]:
    """One measurement of `memory` or `monai`: seconds, and peak memory of the process and of the run, MB."""
    kind, _, case = what.partition("-")
    with tempfile.TemporaryDirectory() as folder:
        path = make_volume(Path(folder) / "in.zarr", size, stored=SPARSE_CHUNKS if case == "sparse" else None)
        net: torch.nn.Module = large_network() if kind == "large" else Pointwise()
        targets, batch = (TARGETS, BATCH) if kind == "large" else (ONE, 1)
        with torch.no_grad():
            net(torch.zeros(batch, 1, ROI, ROI, ROI))
        before, begun = peak_mb(), time.perf_counter()
        if case == "theirs":
            volume = open_volume(path)
            array = volume.read((0, 0, 0), volume.spatial_shape).astype(np.float32)[None]  # B C D H W
            with torch.no_grad():
                SlidingWindowInferer(ROI, batch, OVERLAP, "gaussian")(torch.from_numpy(array), net)
        else:
            inferer = ZarrSlidingWindowInferer(
                ROI, batch, OVERLAP, output=Path(folder) / "out", targets=targets, memory_limit=LIMIT
            )
            inferer(open_volume(path), net)
        return {
            "peak_mb": peak_mb(),
            "run_mb": peak_mb() - before,
            "seconds": time.perf_counter() - begun,
        }


def make_volume(path: Path, size: int, *, dtype: str = "uint8", stored: int | None = None) -> Path:
    """Noise on a ramp, which compresses as scans do; `stored`: that many chunks of it, the others are absent."""
    rng = np.random.default_rng(0)
    writer = create_ome_zarr(path, (1, size, size, size), dtype, spacing=(1, 1, 1), chunks=(CHUNK,) * 3)
    n = size // CHUNK
    places = np.arange(n**3) if stored is None else rng.choice(n**3, min(stored, n**3), replace=False)
    for place in places.tolist():
        start = tuple(CHUNK * int(i) for i in np.unravel_index(place, (n, n, n)))
        ramp = np.linspace(60, 180, CHUNK)[None, None, None, :]
        writer.write(start, (ramp + rng.integers(0, 24, (1, CHUNK, CHUNK, CHUNK))).astype(dtype))
    return path


def copy(source: Path, target: Path) -> None:
    """Copy an array chunk by chunk, as float16, which the run writes, too."""
    volume = open_volume(source)
    writer = create_ome_zarr(target, volume.shape, "float16", spacing=volume.spacing, chunks=volume.chunks)
    for start, size in volume.stored_chunks():
        writer.write(start, volume.read(start, size).astype(np.float16))


class Pointwise(torch.nn.Module):
    """One 1x1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv3d(1, 1, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"depth": self.layer(x)}


def large_network() -> MultiTaskUNet:
    torch.manual_seed(0)
    return MultiTaskUNet(
        3, 1, TARGETS, patch_size=[ROI] * 3, features_per_stage=FEATURES, n_blocks_per_stage=[1] * len(FEATURES)
    ).eval()


def peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def digest(folder: Path) -> str:
    """Hash of every voxel file of a store."""
    total = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "zarr.json"):
        total.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return total.hexdigest()[:12]


if __name__ == "__main__":
    fire.Fire(main)
