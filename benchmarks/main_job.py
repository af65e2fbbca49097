"""Where the main job's time goes beyond what it cannot do without, as ratios of two things measured in one run.

Three questions, on a phantom of 128^3 and the network of `train.json`:

- patch search: time to find the patches / time to decode the label's stored chunks once, with the same threads.
- training step: time of a step in the bundle's trainer / the same network, loss and optimiser in a bare loop, both on
  batches that are in memory.
- streaming inference: time from zarr to OME-Zarr / sum of the forward passes of the same windows.

Run: python benchmarks/main_job.py [--steps 20]. Prints a table and writes benchmarks/results/main_job.json.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch

import fire
import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.engines import SupervisedTrainer

from scripts.engines import PrepareTargets, Progress
from scripts.inferers import ZarrSlidingWindowInferer
from scripts.losses import MultiTaskLoss
from scripts.networks import MultiTaskUNet
from scripts.patches import find_patches
from scripts.volumes import open_volume
from scripts.workflows import phantom

ROOT = Path(__file__).resolve().parents[1]
GOALS = {"patch search": 1.5, "training step": 1.05, "streaming inference": 1.10}


def main(steps: int = 20, size: int = 128) -> None:
    """Measure, print and write.

    Args:
        steps: training steps of each kind.
        size: edge of the phantom, voxels.
    """
    config = ConfigParser()
    config.read_config(ROOT / "bundle" / "configs" / "train.json")
    targets, patch_size = config["targets"], config["patch_size"]
    with tempfile.TemporaryDirectory() as folder:
        paths = phantom(Path(folder) / "phantom.zarr", size=size, block=72)
        rows = {
            "patch search": patch_search(paths, patch_size),
            "training step": training_step(config, targets, patch_size, steps),
            "streaming inference": streaming(config, targets, patch_size, paths["raw"], Path(folder) / "out"),
        }
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    print(f"{machine}\n{'question':<22}{'ratio':>8}{'goal':>8}{'seconds':>11}{'against':>11}")
    for name, (ours, theirs) in rows.items():
        print(f"{name:<22}{ours / theirs:>8.2f}{GOALS[name]:>8.2f}{ours:>11.3f}{theirs:>11.3f}")
    result = {name: {"ratio": a / b, "goal": GOALS[name], "seconds": a, "against": b} for name, (a, b) in rows.items()}
    path = ROOT / "benchmarks" / "results" / "main_job.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "size": size, **result}, indent=2) + "\n")


def best_of(function: Callable[[], Any], repeats: int = 3) -> float:
    """Shortest of several times of the same thing, seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def patch_search(paths: dict[str, str], patch_size: list[int]) -> tuple[float, float]:
    """Seconds of the search and of decoding the same chunks once."""
    threads = os.cpu_count() or 1
    label = open_volume(paths["sheet"])

    def decode() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda box: label.read(*box), label.stored_chunks()))

    volumes = [{"image": paths["raw"], "sheet": paths["sheet"]}]
    search = best_of(lambda: find_patches(volumes, patch_size, stride=12, num_workers=threads))
    return search, best_of(decode)


def training_step(config: ConfigParser, targets: Any, patch_size: list[int], steps: int) -> tuple[float, float]:
    """Seconds per step in the trainer and in a bare loop; the two alternate, the median counts."""
    batch = make_batch(targets, config["batch_size"], patch_size)
    prepared = PrepareTargets(targets)(batch)
    ours, theirs = [], []
    for _ in range(3):
        network, loss, optimizer = parts(config, targets, patch_size)
        trainer = SupervisedTrainer(
            device=torch.device("cpu"),
            max_epochs=1,
            train_data_loader=[batch] * steps,
            network=network,
            optimizer=optimizer,
            loss_function=loss,
            prepare_batch=PrepareTargets(targets),
            train_handlers=[Progress("benchmark")],
            decollate=False,
        )
        start = time.perf_counter()
        trainer.run()
        ours.append((time.perf_counter() - start) / steps)
        network, loss, optimizer = parts(config, targets, patch_size)
        network.train()
        start = time.perf_counter()
        for _ in range(steps):
            optimizer.zero_grad()
            loss(network(prepared[0]), prepared[1]).backward()
            optimizer.step()
        theirs.append((time.perf_counter() - start) / steps)
    return float(np.median(ours)), float(np.median(theirs))


def streaming(config: ConfigParser, targets: Any, patch_size: list[int], raw: str, output: Path) -> tuple[float, float]:
    """Seconds from zarr to OME-Zarr, and of the forward passes within."""
    network = parts(config, targets, patch_size)[0].eval()
    forward_seconds = 0.0

    def timed(x: torch.Tensor) -> dict[str, torch.Tensor]:
        nonlocal forward_seconds
        start = time.perf_counter()
        result = network(x)
        forward_seconds += time.perf_counter() - start
        return result

    inferer = ZarrSlidingWindowInferer(patch_size, 2, 0.25, output=output, targets=targets)
    with torch.no_grad():
        network(torch.zeros(2, config["in_channels"], *patch_size))  # warm up
    start = time.perf_counter()
    inferer(open_volume(raw), timed)
    return time.perf_counter() - start, forward_seconds


def parts(config: ConfigParser, targets: Any, patch_size: list[int]) -> tuple[torch.nn.Module, MultiTaskLoss, Any]:
    """Network, loss and optimiser of the config."""
    torch.manual_seed(0)
    network = MultiTaskUNet(
        3,
        config["in_channels"],
        targets,
        patch_size=patch_size,
        features_per_stage=config["features_per_stage"],
        n_blocks_per_stage=config["n_blocks_per_stage"],
        squeeze_excitation=config["squeeze_excitation"],
        decoder=config["decoder"],
    )
    return network, MultiTaskLoss(targets), torch.optim.AdamW(network.parameters(), 1e-3)


def make_batch(targets: Any, batch_size: int, patch_size: list[int]) -> dict[str, torch.Tensor]:
    """A batch of noise with labels of every kind that the phantom has."""
    torch.manual_seed(0)
    normals = torch.nn.functional.normalize(torch.randn(batch_size, 3, *patch_size), dim=1)
    sheet = (torch.rand(batch_size, 1, *patch_size) > 0.7).int()
    image = torch.randn(batch_size, 1, *patch_size)
    return {"image": image, "sheet": sheet, "normals": normals * sheet, "mask": torch.ones_like(sheet)}


if __name__ == "__main__":
    fire.Fire(main)
