"""The bundle against nnU-Net on the hippocampus task: Dice after equal numbers of iterations, and time per iteration.

Both read one raw dataset folder, made from `hippocampus` under $POLYTOME_DATA: the first 64 cases in the order of
their names are trained on, 81-100 are predicted and scored by one function, and so are 65-80, on which RECIPE was
chosen. Both train with batches of two patches of 40 x 56 x 40 voxels and predict with mirrored windows, half a window
apart.

- nnunet: its ResEncM plan, its recipe, its schedule shortened to the iterations that are asked for, last weights.
- single: the bundle with one target and the settings RECIPE below.
- multi: the same with a second target, the distance to the organ's boundary, derived from the labels.

nnU-Net lives in an environment of its own, which is made where it is not there yet: torch first, then nnunetv2 and the
author's other packages without their requirements, then what these import. timm, which would bring torchvision, is
replaced by an empty module; no network of the ResEnc plans uses it.

`time` alternates short trainings of all systems and takes the mean time per iteration, loading included, the first
five left out; `accuracy` is what takes long, and may run on a machine that is busy with other things.

Run: python benchmarks/hippocampus.py [--part time,accuracy] [--systems nnunet,single,multi] [--iterations 1000]
[--seeds 0] [--resume] [--environment .venv-nnunet] [--work FOLDER]
Prints tables and writes benchmarks/results/hippocampus.json, each result as soon as it is known.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that wait must not spin

import fire
import harness
import numpy as np
from ignite.engine import Events
from monai.bundle import ConfigParser
from nnunet_reference import DATASET

from scripts.volumes import open_volume
from scripts.workflows.import_nnunet_dataset import import_nnunet_dataset

NAME = "hippocampus"
SYSTEMS = ("nnunet", "single", "multi")
DATA_FOLDER = "POLYTOME_DATA"  # environment variable
TRAINED, VALIDATED, TESTED = slice(0, 64), slice(64, 80), slice(80, 100)
CLASSES = {"anterior": 1, "posterior": 2}
EPOCHS = 20
ROUNDS, SHORT, SETTLED = 3, 25, 5

RECIPE: dict[str, Any] = {
    "patch_size": [40, 56, 40],
    "batch_size": 2,
    "features_per_stage": [32, 64, 128, 256],
    "n_blocks_per_stage": [1, 2, 2, 2],
    "squeeze_excitation": True,
    "deep_supervision": True,
    "learning_rate": 0.006,
    "weight_decay": 0.01,
    "ema": 0.99,
    "lr_scheduler": {
        "_target_": "torch.optim.lr_scheduler.OneCycleLR",
        "optimizer": "@optimizer",
        "max_lr": "@learning_rate",
        "total_steps": "$@max_epochs * @max_steps_per_epoch",
        "pct_start": 0.1,
    },
    "augment": [
        {"_target_": "scripts.transforms.ApplySpatiald", "keys": "@stored_keys", "targets": "@targets"},
        {"_target_": "scripts.transforms.RandNoised", "keys": "image", "prob": 0.1, "std": [0.0, 0.1]},
        {"_target_": "RandScaleIntensityd", "keys": "image", "prob": 0.15, "factors": 0.25, "channel_wise": True},
        {"_target_": "scripts.transforms.RandContrastd", "keys": "image", "prob": 0.15, "factor": [0.75, 1.25]},
        {"_target_": "scripts.transforms.RandGammad", "keys": "image", "prob": 0.15, "gamma": [0.7, 1.5]},
        {"_target_": "scripts.transforms.RandMirrord", "keys": "@stored_keys", "prob": 0.5},
    ],
    "previews": False,
}
"""In 1,000 iterations each case is seen 31 times. The default augmentation is a little much for that: this one leaves
out what blurs an image, and every second gamma. Without any but mirroring the cases are learnt by heart, and unseen
ones score 0.03 less."""
MIRRORED = {"x": 2}
"""Axes along which the bundle's recipe mirrors, in training and prediction. Left and right hippocampi are each other's
mirror images; front and back are not, and mirrored they would be what the classes have to be told apart by."""

MULTI: dict[str, Any] = {
    "targets": {
        "segmentation": {"channels": 3},
        "distance": {"channels": 1, "kind": "scalar", "source": "segmentation", "weight": 0.5},
    },
    "derive": [
        {
            "_target_": "scripts.transforms.LabelToDistanced",
            "keys": "segmentation",
            "output_keys": "distance",
            "clip": 5.0,
            "normalize": True,
        }
    ],
}

OWN = ("nnunetv2", "dynamic-network-architectures", "batchgenerators", "batchgeneratorsv2", "acvl-utils")
THEIRS = (
    "blosc2", "connected-components-3d", "einops", "fft-conv-pytorch", "future", "graphviz", "imageio", "matplotlib",
    "nibabel", "pandas", "requests", "scikit-image", "scikit-learn", "scipy", "seaborn", "SimpleITK", "threadpoolctl",
    "tifffile", "tqdm", "yacs",
)  # fmt: skip


def main(
    part: Any = "time,accuracy",
    systems: Any = SYSTEMS,
    iterations: int = 1000,
    seeds: Any = "0",
    resume: bool = False,
    environment: str = str(harness.ROOT / ".venv-nnunet"),
    work: str | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> None:
    """Train, predict, score, print and write.

    Args:
        part: `time`, `accuracy` or both, separated by commas.
        systems: which of nnunet, single, multi.
        iterations: of each training for `accuracy`, a multiple of 50.
        seeds: of weights, patches and augmentation, separated by commas.
        resume: whether results that are there already stay.
        environment: folder of nnU-Net's environment.
        work: folder for data, weights and predictions, kept; default: one that is thrown away.
        recipe: settings of the bundle's trainings in place of those in RECIPE.
    """
    if iterations % 50 or iterations < 50:
        raise ValueError(f"iterations must be a multiple of 50, nnU-Net's epoch here; got {iterations}")
    parts, chosen = harness.choices("part", part, ("time", "accuracy")), harness.choices("systems", systems, SYSTEMS)
    logging.getLogger("scripts").setLevel(logging.ERROR)  # it warns of each volume that is smaller than a patch
    with tempfile.TemporaryDirectory() as thrown_away:
        folder = Path(work or thrown_away).absolute()
        make_dataset(folder)
        bench = Bench(folder, Path(environment).absolute(), {**RECIPE, **(recipe or {})})
        results: dict[str, Any] = {"machine": harness.machine(), "iterations": iterations, "recipe": bench.recipe}
        earlier_results = harness.read_results(NAME)
        results |= {key: earlier_results[key] for key in ("time", "runs", "accuracy") if key in earlier_results}
        if "time" in parts:
            results["time"] = bench.times(chosen)
            harness.print_table("seconds per iteration", results["time"])
            harness.write_results(NAME, results)
        runs = results.get("runs", []) if resume else []
        for seed in harness.listed(seeds) if "accuracy" in parts else ():
            for system in chosen:
                run = {"system": system, "seed": int(seed), "iterations": iterations}
                if any(run.items() <= earlier.items() for earlier in runs):
                    continue
                runs.append(run | bench.accuracy(system, int(seed), iterations))
                print(json.dumps(runs[-1]), flush=True)
                results["runs"] = runs
                harness.write_results(NAME, results)
        if runs:
            results["accuracy"] = summary(runs)
            harness.print_table("Dice of the test cases", results["accuracy"])
            harness.write_results(NAME, results)


def make_dataset(folder: Path) -> None:
    """The raw dataset folder of nnU-Net, and the split that its preprocessed folder holds."""
    raw, preprocessed = folder / "raw" / DATASET, folder / "preprocessed" / DATASET
    if DATA_FOLDER not in os.environ:
        raise FileNotFoundError(f"{DATA_FOLDER} does not name the folder that holds hippocampus/")
    source = Path(os.environ[DATA_FOLDER]) / "hippocampus"
    paths = sorted((source / "images").glob("*.nii.gz"))
    names = [path.name.removesuffix(".nii.gz") for path in paths]
    for part in ("imagesTr", "labelsTr", "imagesTs"):
        (raw / part).mkdir(parents=True, exist_ok=True)
    preprocessed.mkdir(parents=True, exist_ok=True)
    for name in names[: TESTED.start]:
        _link(source / "images" / f"{name}.nii.gz", raw / "imagesTr" / f"{name}_0000.nii.gz")
        _link(source / "labels" / f"{name}.nii.gz", raw / "labelsTr" / f"{name}.nii.gz")
    for name in names[VALIDATED.start : TESTED.stop]:
        _link(source / "images" / f"{name}.nii.gz", raw / "imagesTs" / f"{name}_0000.nii.gz")
    described = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, **CLASSES},
        "numTraining": TESTED.start,
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(described))
    split = [{"train": names[TRAINED], "val": names[VALIDATED]}]
    (preprocessed / "splits_final.json").write_text(json.dumps(split))


def _link(source: Path, path: Path) -> None:
    if not path.exists():
        path.symlink_to(source.resolve())


class Bench:
    """Trainings of the systems on one dataset folder.

    Args:
        folder: with `raw` and `preprocessed`.
        environment: of nnU-Net.
        recipe: settings of the bundle's trainings.
    """

    def __init__(self, folder: Path, environment: Path, recipe: Mapping[str, Any]) -> None:
        self.folder = folder
        self.environment = environment
        self.recipe = dict(recipe)

    def times(self, systems: list[str]) -> harness.Rows:
        """Mean seconds per iteration of short trainings that alternate; one row per system."""
        seconds: dict[str, list[float]] = {system: [] for system in systems}
        parameters = {}
        for _ in range(ROUNDS):
            for system in systems:
                report = self.train(system, 0, 50 if system == "nnunet" else SHORT)
                seconds[system].append(float(np.mean(report["seconds"][SETTLED:])))
                parameters[system] = report["parameters"]
        means = {system: float(np.median(rounds)) for system, rounds in seconds.items()}
        reference = means.get("nnunet")
        return [
            {
                "ratio": None if reference is None else means[system] / reference,
                "system": system,
                "parameters": parameters[system],
                "s_per_iteration": means[system],
                "smallest": min(seconds[system]),
                "largest": max(seconds[system]),
            }
            for system in systems
        ]

    def accuracy(self, system: str, seed: int, iterations: int) -> dict[str, Any]:
        """Train, predict and score: Dice per class and their mean, over the test cases; `validation` is that mean over
        the others."""
        begun = time.perf_counter()
        report = self.train(system, seed, iterations)
        predictions = self.predict(system, seed)
        rows = []
        for case in sorted((self.folder / "raw" / DATASET / "imagesTs").glob("*.nii.gz")):
            name = case.name.replace("_0000", "")
            truth = read(Path(os.environ[DATA_FOLDER]) / "hippocampus" / "labels" / name)
            predicted = read(predictions / name)
            rows.append([dice(predicted == value, truth == value) for value in CLASSES.values()])
        validated = VALIDATED.stop - VALIDATED.start
        scores = np.array(rows[validated:])
        return {
            "dice": float(scores.mean()),
            **dict(zip(CLASSES, scores.mean(axis=0).tolist(), strict=True)),
            "worst_case": float(scores.mean(axis=1).min()),
            "validation": float(np.mean(rows[:validated])),
            "parameters": report["parameters"],
            "minutes": (time.perf_counter() - begun) / 60,
        }

    def train(self, system: str, seed: int, iterations: int) -> dict[str, Any]:
        """One training; the seconds of each of its iterations and the number of parameters."""
        if system != "nnunet":
            return self._train_bundle(system, seed, iterations)
        if not (self.folder / "preprocessed" / DATASET / "dataset.json").exists():
            self._nnunet("plan", seed, iterations)
        self._nnunet("train", seed, iterations)
        return json.loads((self.folder / f"nnunet_{seed}.json").read_text())

    def predict(self, system: str, seed: int) -> Path:
        """Predict the test cases; the folder that then holds `CASE.nii.gz`."""
        if system == "nnunet":
            self._nnunet("predict", seed, 50)
            return self.folder / f"nnunet_{seed}"
        run = self.folder / f"{system}_{seed}"
        config = ConfigParser()
        names = [harness.ROOT / "bundle" / "configs" / "inference.json", run / "network.json"]
        config.read_config([str(name) for name in [*names, self.folder / f"{system}_inference.json"]])
        predictions = run / "labels"
        config.update(
            {
                "bundle_root": str(harness.ROOT / "bundle"),
                "output_dir": str(run),
                "weights": str(run / "model.pt"),
                "predictions": str(predictions),
                "mirror_axes": list(MIRRORED),
                "overwrite": True,
            }
        )
        config.get_parsed_content("initialize")
        config.get_parsed_content("run")
        return predictions

    def _train_bundle(self, system: str, seed: int, iterations: int) -> dict[str, Any]:
        run, settings = self.folder / f"{system}_{seed}", self.folder / f"{system}.json"
        splits = self.folder / "preprocessed" / DATASET / "splits_final.json"
        import_nnunet_dataset(self.folder / "raw" / DATASET, output=settings, splits=splits, overwrite=True)
        shutil.rmtree(run, ignore_errors=True)
        config = harness.training_config(run, output_dir=str(run), ckpt_dir=str(run))
        config.update(json.loads(settings.read_text()) | self.recipe | (MULTI if system == "multi" else {}))
        epochs = min(EPOCHS, iterations // SHORT)
        config.update(
            {
                "random_seed": seed,
                "max_epochs": epochs,
                "max_steps_per_epoch": iterations // epochs,
                "val_interval": epochs + 1,  # never: the last weights become model.pt, as nnU-Net takes its own
            }
        )
        for transform in config["augment"]:
            if transform["_target_"] == "scripts.transforms.RandMirrord":
                transform["axes"] = list(MIRRORED.values())
        trainer = harness.start(config)
        seconds: list[float] = []
        marks = {"last": 0.0}

        def begin() -> None:
            marks["last"] = time.perf_counter()

        def note() -> None:
            now = time.perf_counter()
            seconds.append(now - marks["last"])
            marks["last"] = now

        trainer.add_event_handler(Events.EPOCH_STARTED, begin)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, note)
        trainer.run()
        return {"seconds": seconds, "parameters": harness.n_parameters(trainer)}

    def _nnunet(self, stage: str, seed: int, iterations: int) -> None:
        pinned = ("-c", str(harness.ROOT / "constraints.txt"))
        python = harness.make_environment(self.environment, (*pinned, "torch"), ("--no-deps", *OWN), (*pinned, *THEIRS))
        program = Path(__file__).with_name("nnunet_reference.py")
        words = [python, program, stage, self.folder, "--seed", seed, "--iterations", iterations]
        harness.run_quietly(list(map(str, words)))


def read(path: Path) -> np.ndarray:
    """Labels of a file, D H W."""
    volume = open_volume(str(path))
    return volume.read([0, 0, 0], list(volume.spatial_shape))[0]


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Overlap of two masks: 2 |A and B| / (|A| + |B|); 1 where both are empty."""
    both = int(one.sum()) + int(other.sum())
    return 1.0 if both == 0 else 2.0 * int((one & other).sum()) / both


def summary(runs: list[dict[str, Any]]) -> harness.Rows:
    """One row per system: means over the seeds, and the spread of the mean Dice."""
    rows = []
    for system in dict.fromkeys(run["system"] for run in runs):
        same = [run for run in runs if run["system"] == system]
        scores = [run["dice"] for run in same]
        rows.append(
            {
                "system": system,
                "seeds": len(same),
                "dice": float(np.mean(scores)),
                "spread": max(scores) - min(scores),
                **{key: float(np.mean([run[key] for run in same])) for key in (*CLASSES, "worst_case", "validation")},
                "parameters": same[0]["parameters"],
            }
        )
    return rows


if __name__ == "__main__":
    fire.Fire(main)
