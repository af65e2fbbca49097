"""How fast exported networks are, against the network itself.

The network that comes with the bundle is exported to TorchScript, torch.export and ONNX, and each predicts the same
windows as the network does. They take turns, so that what else the machine does falls on all of them; medians count.

Run: python benchmarks/export.py [--window 64] [--batch 2] [--repeats 10] [--threads 2]
Prints a table, ratio (exported / network) first, and writes benchmarks/results/export.json.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import fire
import harness
import numpy as np
import torch

from scripts.networks import EXPORT_SUFFIXES, ExportedNetwork
from scripts.workflows.demo_run import BUNDLE
from scripts.workflows.export import bundle_config, export, load_trained

NAME = "export"
NETWORK = "network"
WARM_UP = 3  # runs; TorchScript compiles itself in the first ones


def main(window: int = 64, batch: int = 2, repeats: int = 10, threads: int = 2) -> None:
    """Measure, print and write.

    Args:
        window: edge of the windows, voxels, a multiple of 8.
        batch: windows together.
        repeats: of each.
        threads: that compute.
    """
    torch.set_num_threads(threads)
    parser = bundle_config()
    network = load_trained(parser, BUNDLE / "models" / "model.pt")
    x = torch.randn(batch, 1, *(window,) * 3)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        networks: dict[str, Any] = {NETWORK: network}
        for suffix in EXPORT_SUFFIXES:
            export(Path(folder) / f"model{suffix}")
            networks[suffix] = ExportedNetwork(Path(folder) / f"model{suffix}", parser["targets"])
        wanted = network(x)
        differences = {
            name: max(float((output - wanted[target]).abs().max()) for target, output in predict(x).items())
            for name, predict in networks.items()
        }
        seconds: dict[str, list[float]] = {name: [] for name in networks}
        for turn in range(WARM_UP + repeats):
            for name, predict in networks.items():
                start = time.perf_counter()
                predict(x)
                if turn >= WARM_UP:
                    seconds[name].append(time.perf_counter() - start)
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    rows = [
        {
            "exported / network": median / medians[NETWORK],
            "file": name,
            "seconds": median,
            "largest difference": differences[name],
        }
        for name, median in medians.items()
    ]
    harness.print_table(f"{harness.machine()}; {threads} threads; {batch} windows of {window}^3", rows)
    harness.write_results(
        NAME, {"machine": harness.machine(), "threads": threads, "window": window, "batch": batch, "rows": rows}
    )


if __name__ == "__main__":
    fire.Fire(main)
