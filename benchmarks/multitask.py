"""What several targets in one network bring and cost: scores and times of small trainings that differ in one thing.

Every training is one of `train.json` (its losses, optimiser and augmentation). Variants differ in what their names say:

- multi-shared-se: all targets, one decoder for all, squeeze-and-excitation; what the others are compared with.
- multi-separate-se: a decoder per target.
- multi-shared-plain: without squeeze-and-excitation.
- single-TARGET-se: a network for this target alone.

Data:

- phantom: targets `sheet` and `normals`; Dice and median angle (degrees) on the quarter that was never labelled, as
  `python -m scripts demo` scores it.
- hippocampus (that folder under $POLYTOME_DATA): targets `organ` (background, anterior, posterior) and `distance` to
  its boundary, derived from it and not scored; trained on volumes 1-64 in the order of their names; Dice of anterior
  and posterior, mean over the whole volumes 65-80.

Patches of 32^3, batches of 2, no validation, the last weights. Tests are predicted by sliding windows of a patch's
size, half a window apart.

Run: python benchmarks/multitask.py [--data phantom,hippocampus] [--variants multi-shared-se,single-sheet-se]
[--iterations 300] [--seeds 0,1] [--features 8] [--resume]
Each result is in benchmarks/results/multitask.json as soon as it is known; `--resume` goes on after the last one.
Prints a table per data set, with the ratio of the times per iteration first; spread: largest minus smallest score.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that wait must not spin

import fire
import harness
import numpy as np
import torch
from monai.bundle import ConfigParser

from scripts.geometry import stored_keys
from scripts.inferers import ZarrSlidingWindowInferer
from scripts.metrics import MultiTaskMetric
from scripts.transforms import NormalizeImage
from scripts.volumes import open_volume
from scripts.workflows import phantom, truth_box
from scripts.workflows.convert import convert

NAME = "multitask"
BASELINE = "multi-shared-se"
MULTI: dict[str, dict[str, Any]] = {
    BASELINE: {"decoder": "shared", "squeeze_excitation": True},
    "multi-separate-se": {"decoder": "separate", "squeeze_excitation": True},
    "multi-shared-plain": {"decoder": "shared", "squeeze_excitation": False},
}
EPOCHS, STAGES, PATCH = 10, 4, 32
CONTEXT = 16  # voxels around what is scored that windows see, too
DATA_FOLDER = "POLYTOME_DATA"  # environment variable
TRAINED, TESTED = slice(0, 64), slice(64, 80)


@dataclass(frozen=True)
class Data:
    """What is trained on and what is scored.

    Args:
        targets: of the multi-task trainings; those with a `metric` are scored by it.
        volumes: to train on, with everything that any target needs.
        tests: to score on, with the truth of the targets that are scored.
        box: first voxel, and last plus one, of what is scored; `None`: everything.
        settings: of `train.json`.
        derive: the transform that makes a derived target, by target.
    """

    targets: dict[str, dict[str, Any]]
    volumes: list[dict[str, Any]]
    tests: list[dict[str, Any]]
    box: tuple[Sequence[int], Sequence[int]] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    derive: dict[str, dict[str, Any]] = field(default_factory=dict)

    def variants(self) -> dict[str, dict[str, Any]]:
        """Settings of each variant, by name."""
        multi = {name: settings | self._with_targets(list(self.targets)) for name, settings in MULTI.items()}
        single = {f"single-{name}-se": MULTI[BASELINE] | self._with_targets([name]) for name in self.scored()}
        return multi | single

    def scored(self) -> dict[str, dict[str, Any]]:
        """The targets that are scored."""
        return {name: row for name, row in self.targets.items() if "metric" in row}

    def _with_targets(self, names: list[str]) -> dict[str, Any]:
        """Settings that train some of the targets, on volumes that carry nothing else."""
        targets = {name: self.targets[name] for name in names}
        kept = ["image", *stored_keys(targets)]
        return {
            **self.settings,
            "targets": targets,
            "volumes": [{key: path for key, path in volume.items() if key in kept} for volume in self.volumes],
            "derive": [self.derive[name] for name in names if name in self.derive],
        }


def main(
    data: Any = "phantom,hippocampus",
    variants: Any = None,
    iterations: int = 300,
    seeds: Any = "0,1",
    features: int = 8,
    size: int = 128,
    resume: bool = False,
) -> None:
    """Train, score, print and write.

    Args:
        data: which data, separated by commas.
        variants: which variants; by default all.
        iterations: of each training, a multiple of 10.
        seeds: of initial weights, patches and augmentation, separated by commas.
        features: of the first stage; they double in each of the three that follow.
        size: edge of the phantom, voxels.
        resume: whether results that are there already stay.
    """
    if iterations < EPOCHS or iterations % EPOCHS:
        raise ValueError(f"iterations must be a multiple of {EPOCHS}, the number of epochs; got {iterations}")
    settings = {"machine": harness.machine(), "iterations": iterations, "features": features, "size": size}
    print(", ".join(f"{key} {value}" for key, value in settings.items()), flush=True)
    logging.getLogger("scripts").setLevel(logging.ERROR)  # it warns of each volume that is smaller than a patch
    runs = earlier_runs(settings) if resume else []
    with tempfile.TemporaryDirectory() as folder:
        names = harness.choices("data", data, DATA)
        if "hippocampus" in names and DATA_FOLDER not in os.environ:
            print(f"hippocampus is left out: {DATA_FOLDER} does not name the folder that holds it")
            names.remove("hippocampus")
        prepared = {name: DATA[name](Path(folder) / name, size) for name in names}
        known = list(dict.fromkeys(variant for one in prepared.values() for variant in one.variants()))
        chosen = harness.choices("variants", known if variants is None else variants, known)
        for seed, name in itertools.product(harness.listed(seeds), names):
            for variant, changes in prepared[name].variants().items():
                run: dict[str, Any] = {"data": name, "variant": variant, "seed": int(seed)}
                if variant not in chosen or any(run.items() <= earlier.items() for earlier in runs):
                    continue
                with tempfile.TemporaryDirectory(dir=folder) as written:
                    config = make_config(Path(written), {**changes, "random_seed": int(seed)}, iterations, features)
                    runs.append(run | train(config) | {"scores": score(config, prepared[name])})
                harness.write_results(NAME, {**settings, "runs": runs})
                print(json.dumps(runs[-1]), flush=True)
    tables = {name: summary([run for run in runs if run["data"] == name]) for name in DATA}
    for name, rows in tables.items():
        if rows:
            harness.print_table(name, rows)
    harness.write_results(NAME, {**settings, "tables": tables, "runs": runs})


def earlier_runs(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Results that are there already.

    Raises:
        ValueError: where they were made with other settings.
    """
    earlier = harness.read_results(NAME)
    if earlier and (others := {key: earlier[key] for key in settings if earlier[key] != settings[key]}):
        raise ValueError(f"--resume: the results that are there have {others}; give the same, or leave --resume out")
    return earlier.get("runs", [])


def make_config(folder: Path, changes: Mapping[str, Any], iterations: int, features: int) -> ConfigParser:
    """The config of one training, which writes into a folder."""
    return harness.training_config(
        folder,
        patch_size=[PATCH] * 3,
        features_per_stage=[features * 2**stage for stage in range(STAGES)],
        n_blocks_per_stage=[1] * STAGES,
        max_epochs=EPOCHS,
        max_steps_per_epoch=iterations // EPOCHS,
        val_fraction=0,
        val_interval=EPOCHS + 1,
        **changes,
    )


def train(config: ConfigParser) -> dict[str, Any]:
    """Run a training; returns its network's size and the seconds per iteration, loading and epochs' ends included."""
    trainer = harness.start(config)
    begun = time.perf_counter()
    trainer.run()
    seconds = (time.perf_counter() - begun) / trainer.state.iteration
    return {"parameters": harness.n_parameters(trainer), "s_per_iteration": seconds}


@torch.no_grad()
def score(config: ConfigParser, data: Data) -> dict[str, float]:
    """Scores of a trained network by `<target>_<metric>`, means over the test volumes."""
    network = config.get_parsed_content("scored_network").eval()
    device = config.get_parsed_content("device")
    targets = {name: row for name, row in data.scored().items() if name in network.targets}
    found: list[dict[str, float]] = []
    for test in data.tests:
        image = open_volume(test["image"])
        low, high = data.box or ([0, 0, 0], list(image.spatial_shape))
        first = [max(0, n - CONTEXT) for n in low]
        last = [min(n + CONTEXT, size) for n, size in zip(high, image.spatial_shape, strict=True)]
        normalize = NormalizeImage(config["normalization"]).bind(image)
        # a plain function: a transform would be bound anew, to the part that is read
        inferer = ZarrSlidingWindowInferer(PATCH, 4, 0.5, window_transform=normalize.__call__)
        logits = inferer(read(test["image"], first, last).to(device), network)
        inside = tuple(slice(a - b, c - b) for a, b, c in zip(low, first, high, strict=True))
        metric = MultiTaskMetric(targets)
        metric.update(
            {name: logits[name][:, :, *inside].cpu() for name in targets},
            {name: read(test[name], low, high) for name in targets},
        )
        found.append(metric.compute())
    keys = [f"{name}_{metric}" for name, row in targets.items() for metric in row["metric"]]
    return {key: float(np.mean([numbers[key] for numbers in found])) for key in keys}


def read(path: str, low: Sequence[int], high: Sequence[int]) -> torch.Tensor:
    """Values in a box, first voxel to last plus one, B C D H W float32."""
    volume = open_volume(path)
    values = volume.decode(volume.read(low, np.subtract(high, low).tolist()))
    return torch.from_numpy(values)[None]  # C D H W -> B C D H W


def summary(runs: Sequence[Mapping[str, Any]]) -> harness.Rows:
    """One row per variant: means over its seeds, and each score's spread; `None` where a variant has no such score."""
    by_variant: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        by_variant.setdefault(run["variant"], []).append(run)
    seconds = {name: float(np.mean([run["s_per_iteration"] for run in same])) for name, same in by_variant.items()}
    scores = dict.fromkeys(key for run in runs for key in run["scores"])
    rows = []
    for name, same in by_variant.items():
        row = {
            "ratio": seconds[name] / seconds[BASELINE] if BASELINE in seconds else None,
            "variant": name,
            "parameters": same[0]["parameters"],
            "seeds": len(same),
            "s_per_iteration": seconds[name],
        }
        for key in scores:
            values = [run["scores"][key] for run in same if key in run["scores"]]
            row[key] = float(np.mean(values)) if values else None
            row[f"{key}_spread"] = max(values) - min(values) if values else None
        rows.append(row)
    return rows


def prepare_phantom(folder: Path, size: int) -> Data:
    """A phantom whose labelled blocks are three eighths of it long, as the demo's are."""
    paths = phantom(folder / "phantom.zarr", size=size, block=3 * size // 8)
    metrics = {"sheet": ["dice"], "normals": ["angle"]}
    targets = {
        name: {**row, "metric": metrics[name]} for name, row in harness.training_config(folder)["targets"].items()
    }
    volume = {"image": paths["raw"], "mask": paths["labelled"]} | {name: paths[name] for name in targets}
    test = {"image": paths["raw"]} | {name: paths[f"truth_{name}"] for name in targets}
    return Data(targets, [volume], [test], truth_box(size))


def prepare_hippocampus(folder: Path, size: int) -> Data:
    """Hippocampi of the Medical Segmentation Decathlon as zarr; `size` is the phantom's alone."""
    source = Path(os.environ[DATA_FOLDER]) / "hippocampus"
    parts = {"image": ("images", "image"), "organ": ("labels", "label")}
    volumes = [
        {
            key: convert(source / part / path.name, folder / key / f"{path.name}.zarr", kind=kind, levels=1)
            for key, (part, kind) in parts.items()
        }
        for path in sorted((source / "images").glob("*.nii.gz"))[: TESTED.stop]
    ]
    to_distance = {"_target_": "scripts.transforms.LabelToDistanced", "keys": "organ", "output_keys": "distance"}
    return Data(
        targets={
            "organ": {"channels": 3, "kind": "label", "metric": ["dice"]},
            "distance": {"channels": 1, "kind": "scalar", "source": "organ"},
        },
        volumes=volumes[TRAINED],
        tests=volumes[TESTED],
        settings={"min_bbox_percent": 0.1, "min_labeled_ratio": 0.05},  # the organ fills a small part of a patch
        derive={"distance": {**to_distance, "clip": 5.0, "normalize": True}},
    )


DATA = {"phantom": prepare_phantom, "hippocampus": prepare_hippocampus}

if __name__ == "__main__":
    fire.Fire(main)
