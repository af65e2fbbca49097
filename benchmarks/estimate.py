"""On paper: what a prediction of 5 x 10^13 voxels would take, from the rates that the other programs measured.

The volume has 20,000 x 50,000 x 50,000 voxels of one byte, all of it stored; windows of 128^3 move by 96; the targets
are `sheet` (one byte a voxel) and `normals` (three). Two networks: the one that is planned for such windows (ResEncM's
rules) and the small one of train.json. Fleets: one GPU, eight, and 200 CPU processes of two cores.

Measured are, by results/streaming_inference.json and results/scheduler.json: how many operations a second two cores do
in a network, how fast one process reads, blends and writes when there is hardly a network, how often a voxel is read,
and what the bookkeeping takes per block. Assumed is what a GPU does, GPU_TFLOPS: nothing was measured on one. A fleet's
time is the slowest of arithmetic, reading and writing, and the driver, which overlap.

Run: python benchmarks/estimate.py [--gpu_tflops 200]
Prints tables and writes benchmarks/results/estimate.json.
"""

from __future__ import annotations

import math
from typing import Any

import fire
import harness
import torch
from torch.utils.flop_counter import FlopCounterMode

from scripts.inferers.windows import axis_starts
from scripts.networks import MultiTaskUNet

NAME = "estimate"
SHAPE = (20_000, 50_000, 50_000)
ROI, OVERLAP, CHUNK, BLOCK, SHARD = 128, 0.25, 96, 288, 960
TARGETS: dict[str, dict[str, Any]] = {"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}
NETWORKS: dict[str, dict[str, Any]] = {
    "planned for 128^3": {},
    "of train.json": {"features_per_stage": [16, 32, 64, 128], "n_blocks_per_stage": [1, 1, 1, 1]},
}
MEASURED = {"features_per_stage": [16, 32, 64, 128, 256], "n_blocks_per_stage": [1] * 5}
"""The network of streaming_inference.py, windows of 64^3."""
FLEETS = {"1 GPU": (1, True), "8 GPUs": (8, True), "200 processes of 2 cores": (200, False)}
HOUR, TERA = 3600, 1e12


def main(gpu_tflops: float = 200.0) -> None:
    """Compute, print and write.

    Args:
        gpu_tflops: 10^12 operations a second that a GPU is assumed to do in a network, bf16.

    Raises:
        FileNotFoundError: where one of the results that this is made from is missing.
    """
    streaming, scheduler = (harness.read_results(name) for name in ("streaming_inference", "scheduler"))
    if not streaming or not scheduler:
        raise FileNotFoundError("run benchmarks/streaming_inference.py and benchmarks/scheduler.py first")
    rates = measured_rates(streaming, scheduler, gpu_tflops)
    work = amounts()
    rows = [
        estimate(network, flops_of(settings, ROI), fleet, *FLEETS[fleet], rates, work)
        for network, settings in NETWORKS.items()
        for fleet in FLEETS
    ]
    limits = first_limits(rates, work)
    harness.print_table("rates", [rates])
    harness.print_table("amounts", [work])
    harness.print_table("hours", rows)
    harness.print_table("what grows", limits)
    content = {"machine": harness.machine(), "shape": SHAPE, "rates": rates, "amounts": work}
    harness.write_results(NAME, {**content, "hours": rows, "limits": limits})


def measured_rates(streaming: dict[str, Any], scheduler: dict[str, Any], gpu_tflops: float) -> dict[str, float]:
    """What one process does in a second, and what the bookkeeping takes."""
    network = streaming["network"]["rows"][0]
    trivial = next(row for row in streaming["trivial"]["rows"] if row["input"] == "uint8")
    largest = scheduler["rows"][-1]
    return {
        "cpu_tflops": flops_of(MEASURED, 64) * network["windows"] / network["forward_s"] / TERA,
        "gpu_tflops_assumed": gpu_tflops,
        "pipeline_mb_per_s": trivial["mb_per_s"],
        "overhead": network["ratio"],
        "read_amplification": network["read_amplification"],
        "scheduler_us_a_block": 1e6 * largest["blocks_s"] / largest["blocks"],
        "scheduler_bytes_a_block": 1e6 * largest["memory_mb"] / largest["blocks"],
        "resume_us_a_block": 1e6 * largest["resume_s"] / (largest["blocks"] / 2),
    }


def amounts() -> dict[str, float]:
    """Voxels, windows, blocks, files and bytes of the whole prediction."""
    voxels = math.prod(SHAPE)
    channels = sum(row["channels"] for row in TARGETS.values())
    per_axis = [len(axis_starts(n, ROI, OVERLAP)) for n in SHAPE]
    # what lies within a window of a block's upper faces is handed on, as float32 sums and weights
    halo = math.prod(BLOCK + ROI - CHUNK for _ in SHAPE) / BLOCK**3 - 1
    return {
        "voxels": voxels,
        "windows": math.prod(per_axis),
        "blocks": math.prod(-(-n // BLOCK) for n in SHAPE),
        "chunks_a_target": math.prod(-(-n // CHUNK) for n in SHAPE),
        "shards_a_target": math.prod(-(-n // SHARD) for n in SHAPE),
        "input_tb": voxels / TERA,
        "output_tb": channels * voxels / TERA,
        "handed_on_tb": 4 * (channels + 1) * halo * voxels / TERA,
    }


def estimate(
    network: str,
    flops: float,
    fleet: str,
    count: int,
    is_gpu: bool,
    rates: dict[str, float],
    work: dict[str, float],
) -> dict[str, Any]:
    """Hours of one fleet with one network, and what bounds them."""
    speed = rates["gpu_tflops_assumed" if is_gpu else "cpu_tflops"] * TERA
    hours = {
        "arithmetic": flops * work["windows"] * rates["overhead"] / speed / count / HOUR,
        "reading and writing": 1e6 * work["input_tb"] / rates["pipeline_mb_per_s"] / count / HOUR,
        "driver": work["blocks"] * rates["scheduler_us_a_block"] / 1e6 / HOUR,
    }
    bound = max(hours, key=lambda key: hours[key])
    return {
        "network": network,
        "fleet": fleet,
        "hours": hours[bound],
        "bound_by": bound,
        **{f"{key}_h".replace(" ", "_"): value for key, value in hours.items()},
        "tflop_a_window": flops / TERA,
    }


def first_limits(rates: dict[str, float], work: dict[str, float]) -> harness.Rows:
    """What grows with the number of blocks and chunks, whoever computes them."""
    blocks = work["blocks"]
    return [
        {"what": "chunk files of a target without shards", "amount": work["chunks_a_target"], "unit": "files"},
        {"what": "shard files of a target", "amount": work["shards_a_target"], "unit": "files"},
        {"what": "ledger, in one folder", "amount": blocks, "unit": "files"},
        {"what": "memory of the driver", "amount": blocks * rates["scheduler_bytes_a_block"] / 1e9, "unit": "GB"},
        {"what": "driver, all blocks", "amount": blocks * rates["scheduler_us_a_block"] / 1e6 / HOUR, "unit": "h"},
        {"what": "going on after a kill", "amount": blocks * rates["resume_us_a_block"] / 1e6 / 60, "unit": "min"},
        {"what": "sums handed from block to block", "amount": work["handed_on_tb"], "unit": "TB"},
    ]


def flops_of(settings: dict[str, Any], edge: int) -> float:
    """Operations (a multiplication and an addition are two) of one window's forward pass."""
    with torch.device("meta"):
        network = MultiTaskUNet(3, 1, TARGETS, patch_size=[edge] * 3, **settings).eval()
        window = torch.zeros(1, 1, edge, edge, edge)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(window)
    return float(counter.get_total_flops())


if __name__ == "__main__":
    fire.Fire(main)
