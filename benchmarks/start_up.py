"""How long a training takes from its command to its first batch, when its patches have been found before.

The command is that of the README, on a phantom of 192^3 voxels with the default settings; a run before has left the
patch cache. Beside it stands a process that only imports what a training imports from others: it takes turns with the
runs, so that the rest is what the bundle itself needs to read the config, check it and load a batch.

Run: python benchmarks/start_up.py [--size 192] [--repeats 5] [--workers 0,2]
Prints a table and writes benchmarks/results/start_up.json.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import fire
import harness
import numpy as np

from scripts.workflows import phantom

NAME = "start_up"
BUNDLE = harness.ROOT / "bundle"
FIRST_BATCH = "first batch:"
IMPORTS = "import ignite.engine, monai.bundle, monai.transforms, tensorboard, tensorstore, torch, zarr"


def main(size: int = 192, repeats: int = 5, workers: Any = "0,2") -> None:
    """Measure, print and write.

    Args:
        size: edge of the phantom, voxels.
        repeats: starts of each kind, of which the median counts.
        workers: processes that load patches, separated by commas.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        phantom(folder / "data" / "phantom.zarr", size=size)
        kinds = [int(count) for count in harness.listed(workers)]
        for count in kinds:
            start(folder, count)  # finds the patches
        starts: dict[int, list[float]] = {count: [] for count in kinds}
        imports = []
        for _ in range(repeats):
            imports.append(import_only())
            for count in kinds:
                starts[count].append(start(folder, count))
    rows = [
        {
            "seconds": float(np.median(starts[count])),
            "workers": count,
            "smallest": min(starts[count]),
            "largest": max(starts[count]),
            "imports": float(np.median(imports)),
            "ratio": float(np.median(starts[count]) / np.median(imports)),
        }
        for count in kinds
    ]
    harness.print_table(f"{harness.machine()}; command to first batch, phantom of {size}^3", rows)
    harness.write_results(NAME, {"machine": harness.machine(), "size": size, "repeats": repeats, "rows": rows})


def start(folder: Path, workers: int) -> float:
    """Seconds from the command to the line that tells of the first batch.

    Raises:
        RuntimeError: for a run that ends without one.
    """
    settings = {
        "dataset_dir": folder / "data",
        "output_dir": folder / "run",
        "ckpt_dir": folder / "run",
        "num_workers": workers,
    }
    words = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", "configs/train.json"]
    words += [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    begun = time.perf_counter()
    with subprocess.Popen(words, cwd=BUNDLE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        assert run.stdout is not None
        said = []
        for line in run.stdout:
            said.append(line)
            if FIRST_BATCH in line:
                seconds = time.perf_counter() - begun
                run.kill()  # a run that is stopped would leave a checkpoint
                return seconds
    raise RuntimeError("".join(said)[-3000:])


def import_only() -> float:
    """Seconds of a process that imports the packages of a training, and does nothing."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    fire.Fire(main)
