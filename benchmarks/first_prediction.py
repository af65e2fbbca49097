"""How long it takes from nothing to a first prediction: clone, environment, install, phantom, prediction.

Everything happens in a folder that is thrown away, with the commands that a newcomer types. Packages are downloaded
first, without pip's cache, and installed from those files: what the network costs stands in a row of its own. The
prediction is that of the weights in the repository, on the phantom of the README.

Run: python benchmarks/first_prediction.py [--source URL] [--size 192] [--note "what else ran"]
Prints a table in the order of the steps, and writes benchmarks/results/first_prediction.json.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import fire
import harness

from scripts.volumes import open_volume

NAME = "first_prediction"
MEGA = 1e6

PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")
CONSTRAINTS = ("-c", "constraints.txt")
DOWNLOAD = "download of packages"


def main(source: str | None = None, size: int = 192, note: str | None = None) -> None:
    """Measure, print and write.

    Args:
        source: repository to clone, a folder or a URL; default this one, as it was committed.
        size: edge of the phantom, voxels.
        note: what else the machine did, for the record.

    Raises:
        RuntimeError: where a command fails, with the end of what it said; for a prediction without any sheet.
    """
    load = os.getloadavg()[0]
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        clone, wheels, python = folder / "polytome", folder / "wheels", folder / "venv" / "bin" / "python"
        bundle = clone / "bundle"
        from_files = ("--no-index", "--find-links", wheels)

        def step(name: str, *commands: tuple[Any, ...], cwd: Path = clone) -> None:
            begun = time.perf_counter()
            for command in commands:
                _run(list(map(str, command)), cwd)
            seconds[name] = time.perf_counter() - begun

        step("clone", ("git", "clone", "--quiet", source or harness.ROOT, clone), cwd=folder)
        step("environment", (sys.executable, "-m", "venv", folder / "venv"))
        download = (python, *PIP, "download", "--no-cache-dir", "--dest", wheels, "--find-links", wheels, *CONSTRAINTS)
        step(DOWNLOAD, *((*download, package) for package in ("torch", ".", "setuptools")))
        n_bytes = sum(file.stat().st_size for file in wheels.iterdir())
        step("install of torch", (python, *PIP, "install", *from_files, *CONSTRAINTS, "torch"))
        step("install of the rest", (python, *PIP, "install", *from_files, *CONSTRAINTS, "-e", "."))
        step("phantom", (python, "-m", "scripts", "phantom", "data/phantom.zarr", "--size", size), cwd=bundle)
        step(
            "prediction",
            (
                *(python, "-m", "monai.bundle", "run", "inference", "--config_file", "configs/inference.json"),
                *("--output", "output/prediction.zarr"),
            ),
            cwd=bundle,
        )
        share = _share_of_sheet(bundle / "output" / "prediction.zarr" / "sheet")
    total = sum(seconds.values())
    rows = [{"step": step, "seconds": value, "share": value / total} for step, value in seconds.items()]
    rows.append({"step": "all", "seconds": total, "share": 1.0})
    rows.append({"step": "all but the download", "seconds": total - seconds[DOWNLOAD], "share": None})
    harness.print_table(
        f"{harness.machine()}; phantom of {size}^3; {n_bytes / MEGA:.0f} MB of packages; load before {load:.1f}",
        rows,
    )
    harness.write_results(
        NAME,
        {
            "machine": harness.machine(), "load_before": load, "note": note, "size": size,
            "packages_mb": n_bytes / MEGA, "share_of_sheet": share, "rows": rows,
        },
    )  # fmt: skip


def _run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\nended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")


def _share_of_sheet(path: Path) -> float:
    """Share of voxels in which the network sees the sheet.

    Raises:
        RuntimeError: where it sees none, or nothing else.
    """
    volume = open_volume(path)
    share = float((volume.read((0, 0, 0), volume.spatial_shape) > 127).mean())
    if not 0 < share < 1:
        raise RuntimeError(f"{path}: sheet in {share:.0%} of the voxels; this is no prediction of a phantom")
    return share


if __name__ == "__main__":
    fire.Fire(main)
