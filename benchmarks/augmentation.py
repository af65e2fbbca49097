"""What nnU-Net's augmentation costs per sample: one image, one label and one normals target, in one thread.

For patches of 64^3 and 128^3:

- full list: `nnunet_augmentation` with its probabilities, and `ReorientVectorsd` at the end, mean and worst of many
  draws. Arrays are as large as `RandSpatialDrawd` has them read; reading itself is not counted.
- nothing drawn: the same list with every probability 0.
- each transform when it is applied; what happens in space with all three keys.

Run: python benchmarks/augmentation.py [--draws 200] [--threads 1]
Prints tables and writes benchmarks/results/augmentation.json.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch

import fire
import harness
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, RandFlipd, RandScaleIntensityd

from scripts.transforms import (
    ApplySpatiald,
    RandBlurd,
    RandContrastd,
    RandGammad,
    RandLowResolutiond,
    RandMirrord,
    RandNoised,
    RandSpatialDrawd,
    RandTransposed,
    ReorientVectorsd,
    nnunet_augmentation,
)

KEYS = ["image", "label", "normals"]
TARGETS = {"label": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}
ENLARGEMENT = 2
Sample = dict[Hashable, Any]


def main(draws: int = 200, threads: int = 1) -> None:
    """Measure, print and write.

    Args:
        draws: samples of 64^3 that the full list is measured on; a quarter as many of 128^3.
        threads: threads of PyTorch; a worker that loads patches has one.
    """
    torch.set_num_threads(threads)
    result: dict[str, Any] = {"machine": harness.machine(), "threads": threads}
    print(f"{result['machine']}; threads: {threads}")
    for edge, count in ((64, draws), (128, max(draws // 4, 1))):
        volume = make_volume(ENLARGEMENT * edge)
        rows = {**full_list(volume, edge, count), **single_transforms(volume, edge)}
        harness.print_table(f"{edge}^3", [{**row, "what": name} for name, row in rows.items()])
        result[f"{edge}^3"] = rows
    harness.write_results("augmentation", result)


def make_volume(edge: int) -> dict[str, torch.Tensor]:
    """Noise as image, a label of blocks, and normals on it; C D H W."""
    generator = torch.Generator().manual_seed(0)
    blocks = torch.rand((1, 1, *[edge // 8] * 3), generator=generator) > 0.5
    label = torch.nn.functional.interpolate(blocks.float(), scale_factor=8)[0].int()
    normals = torch.nn.functional.normalize(torch.randn(3, edge, edge, edge, generator=generator), dim=0)
    return {"image": torch.randn(1, edge, edge, edge, generator=generator), "label": label, "normals": normals * label}


def full_list(volume: dict[str, torch.Tensor], edge: int, draws: int) -> dict[str, dict[str, float]]:
    """Milliseconds of the whole list, with its probabilities and with all of them 0."""
    draw = RandSpatialDrawd(max_enlargement=ENLARGEMENT)
    transforms = [*nnunet_augmentation(KEYS, TARGETS, is_drawn=True), ReorientVectorsd("normals")]
    augment = Compose(transforms)
    idle = Compose([silenced(one) for one in nnunet_augmentation(KEYS, TARGETS, is_drawn=True)])
    times = []
    for seed in range(draws):
        draw.set_random_state(seed)
        sample = loaded(volume, draw(datum(edge)))
        augment.set_random_state(seed)
        times.append(milliseconds(augment, sample))
    still = [milliseconds(idle, loaded(volume, datum(edge))) for _ in range(10)]
    return {"full list": summary(times), "nothing drawn": summary(still)}


def single_transforms(volume: dict[str, torch.Tensor], edge: int, repeats: int = 7) -> dict[str, dict[str, float]]:
    """Milliseconds of each transform when it is applied."""
    spatial = {
        "rotation": RandSpatialDrawd(prob_rotation=1, prob_scaling=0),
        "scaling": RandSpatialDrawd(prob_rotation=0, prob_scaling=1),
        "elastic deformation": RandSpatialDrawd(prob_rotation=0, prob_scaling=0, prob_elastic=1),
    }
    rows = {}
    for name, draw in spatial.items():
        for label_mode in ("nearest", "one_hot"):
            apply = ApplySpatiald(KEYS, TARGETS, label_mode=label_mode)
            draw.set_random_state(0)
            times = [milliseconds(apply, loaded(volume, draw(datum(edge)))) for _ in range(repeats)]
            rows[f"{name}, labels {label_mode}"] = summary(times)
    others: dict[str, Callable[[Sample], Any]] = {
        "noise": RandNoised("image", 1),
        "blur": RandBlurd("image", 1, 1),
        "brightness": RandScaleIntensityd("image", factors=0.25, prob=1, channel_wise=True),
        "contrast": RandContrastd("image", 1),
        "low resolution": RandLowResolutiond("image", 1, 1),
        "gamma": RandGammad("image", 1),
        "gamma, inverted": RandGammad("image", 1, invert=True),
        "mirror, three axes": RandMirrord(KEYS, 1),
        "MONAI's mirror, three axes": Compose([RandFlipd(KEYS, 1, axis) for axis in range(3)]),
        "transpose": RandTransposed(KEYS, 1),
        "reorient normals": ReorientVectorsd("normals"),
    }
    sample = RandMirrord(KEYS, 1)(loaded(volume, datum(edge)))
    for name, transform in others.items():
        transform(sample)  # the first call prepares
        rows[name] = summary([milliseconds(transform, sample) for _ in range(repeats)])
    return rows


def datum(edge: int) -> Sample:
    """A patch in the middle of the volume."""
    return {"start": [(ENLARGEMENT - 1) * edge // 2] * 3, "size": [edge] * 3}


def loaded(volume: dict[str, torch.Tensor], drawn: Sample) -> Sample:
    """What `LoadZarrPatchd` makes of a datum, from arrays in memory."""
    box = tuple(slice(low, low + n) for low, n in zip(drawn.pop("start"), drawn.pop("size"), strict=True))
    meta = {"reference_affine": torch.eye(4, dtype=torch.float64)}
    arrays = {key: MetaTensor(array[(slice(None), *box)].clone(), meta=dict(meta)) for key, array in volume.items()}
    return drawn | arrays


def silenced(transform: Any) -> Any:
    """A transform that never does anything."""
    random = getattr(transform, "transform", transform)
    if hasattr(random, "prob"):
        random.prob = 0.0
    return transform


def milliseconds(function: Callable[[Sample], Any], sample: Sample) -> float:
    """Time of one call."""
    start = time.perf_counter()
    function(sample)
    return 1e3 * (time.perf_counter() - start)


def summary(times: list[float]) -> dict[str, float]:
    """Mean and worst."""
    return {"mean_ms": round(float(np.mean(times)), 2), "worst_ms": round(max(times), 2)}


if __name__ == "__main__":
    fire.Fire(main)
