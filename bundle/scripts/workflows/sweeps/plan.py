"""The runs of a sweep, and where each of them lies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...volumes import is_url
from .experiment import SEG_HEAD, SPARSE_BASELINE, SPARSE_HEAD, TRAIN, VALIDATE, Combination, Experiment, Head
from .file import config_files, merged
from .run import VALIDATION, Run, Training

OVERLAY = "overlay.json"
LATEST = "latest"
SCRATCH = 0
"""What stands for the checkpoint of a pre-training where there was none."""

_WINDOW = [64, 64, 64]
"""Of heads on stored embeddings, which look at single voxels."""

_STACKS: dict[tuple[str, bool], tuple[str, ...]] = {
    (SEG_HEAD, False): ("seg_head",),
    (SPARSE_HEAD, False): ("seg_head", "sparse_head"),
    (SPARSE_HEAD, True): ("seg_head", "sparse_head", "saved_embeddings"),
    (SPARSE_BASELINE, False): ("seg_head", "sparse_head", "sparse_baseline"),
}
"""Configs that follow train.json, by head and whether it stands on stored embeddings."""


@dataclass(frozen=True)
class Checkpoints:
    """Which states of a training stay.

    Args:
        epochs: of the training.
        steps: per epoch.
        kept: checkpoints of the last epochs that stay.
    """

    epochs: int
    steps: int
    kept: int

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Checkpoints:
        """Those of a config with its overlay."""
        return cls(settings["max_epochs"], settings["max_steps_per_epoch"], settings["keep_last"])

    @property
    def by_iteration(self) -> dict[int, int]:
        """Epoch of each checkpoint, by the iterations that were done by then."""
        first = max(self.epochs - self.kept, 0) + 1
        return {epoch * self.steps: epoch for epoch in range(first, self.epochs + 1)}


class Plan:
    """All runs of an experiment.

    Args:
        experiment: what is asked for.
        root: folder of the experiment.
        checkpoints: iterations of the pre-trainings whose checkpoints are used; `"latest"`: the last one.

    Raises:
        ValueError: for a checkpoint that does not stay, and for volumes that points cannot be drawn from.
    """

    def __init__(self, experiment: Experiment, root: str | Path, checkpoints: Sequence[int] | str = LATEST) -> None:
        self.experiment = experiment
        self.root = Path(root).absolute()
        self.checkpoints = checkpoints
        self.runs: dict[str, Run] = {}
        self.indices: dict[str, tuple[int | None, int | None]] = {}
        self.heads: dict[str, tuple[int, int, int, Head]] = {}
        self._images = self._named_images()
        for i, combination in enumerate(experiment.combinations):
            self._add_combination(i, combination)

    def _add_combination(self, i: int, combination: Combination) -> None:
        name = f"combination-{i}/contrastive"
        settings = merged(["train", "contrastive"], combination.settings)
        kept = Checkpoints.of(settings).by_iteration
        weights = {epoch: str(self.root / name / "weights" / f"ckpt_{n}.pt") for n, epoch in kept.items()}
        overlay = self._training(name, combination.settings) | {"volumes": _absolute_rows(settings["volumes"])}
        self._add(
            Run(
                name, "contrastive", str(self.root / name), {OVERLAY: overlay},
                (self._command("training", ["train", "contrastive"], name),),
                training=Training(overlay["ckpt_dir"], weights, settings["max_epochs"], "base."),
                notes=str(combination.notes),
            ),
            i, None,
        )  # fmt: skip
        for number in self._chosen(kept, name):
            base = weights[kept[number]]
            for part, image in self._images.items():
                self._add_embedding(i, number, base, part, image)
            for j, head in enumerate(self.experiment.heads):
                if not head.is_baseline:
                    self._add_head(i, j, number, head, base, settings)
        for j, head in enumerate(self.experiment.heads):
            if head.is_baseline and i < len(self.experiment.models):  # the settings of pre-training do not matter to it
                self._add_head(i, j, SCRATCH, head, None, settings)

    def _chosen(self, kept: Mapping[int, int], name: str) -> list[int]:
        if self.checkpoints == LATEST:
            return [max(kept)]
        if missing := [str(number) for number in self.checkpoints if number not in kept]:
            raise ValueError(
                f"{name} keeps no checkpoint {', '.join(missing)}; it keeps those after "
                f"{', '.join(map(str, kept))} iterations (see keep_last and save_every)"
            )
        return [int(number) for number in self.checkpoints]

    def _add_embedding(self, i: int, number: int, base: str, part: str, image: str) -> None:
        name = f"combination-{i}/embs/contrastive_ckpt{number}/{part}"
        pretrained = f"combination-{i}/contrastive"
        overlay = {"input": image, "output": str(self.root / name / "raw_embs.zarr"), "weights": base, "levels": 1}
        network = str(self.root / pretrained / "network.json")
        command = self._command("inference", ["inference", network, "embed"], name)
        self._add(Run(name, "emb", str(self.root / name), {OVERLAY: overlay}, (command,), needs=(pretrained,)), i, None)

    def _add_head(
        self, i: int, j: int, number: int, head: Head, base: str | None, pretraining: Mapping[str, Any]
    ) -> None:
        name = f"combination-{i}/seg/combination-{j}/contrastive_ckpt{number}"
        is_stored = head.config == SPARSE_HEAD and head.settings.get("saved_embeddings", True)
        stack = ["train", *_STACKS[head.config, is_stored]]
        needs: list[str] = [] if base is None else [f"combination-{i}/contrastive"]
        settings: dict[str, Any] = {"h_channels": pretraining["h_channels"], "base_weights": base, **head.settings}
        if base is None:
            model = self.experiment.model_of(i).settings
            settings = {**model, "freeze_base": False, **settings}
            settings.pop("projection_channels", None)
        elif not is_stored:
            stack.insert(1, str(self.root / needs[0] / "network.json"))
        rows, needed = self._rows(i, number, head, is_stored)
        needs += needed
        overlay = self._training(name, settings) | {"volumes": rows}
        merged_settings = merged([one for one in stack if not one.endswith(".json")], overlay)
        kept = Checkpoints.of(merged_settings).by_iteration
        weights = {epoch: str(self.root / name / "weights" / f"ckpt_{n}.pt") for n, epoch in kept.items()}
        self._add(
            Run(
                name, "seg", str(self.root / name), {OVERLAY: overlay},
                (self._command("training", stack, name),), tuple(needs),
                Training(overlay["ckpt_dir"], weights, merged_settings["max_epochs"]), str(head.notes),
            ),
            i, j,
        )  # fmt: skip
        self.heads[name] = (i, j, number, head)
        for n, epoch in kept.items():
            self._add_validation(name, n, weights[epoch], head, is_stored, pretraining["patch_size"][0] == 1)

    def _add_validation(
        self, head_name: str, number: int, weights: str, head: Head, is_stored: bool, per_slice: bool
    ) -> None:
        i, j, contrastive, _ = self.heads[head_name]
        name = f"{head_name}/{VALIDATION}{number}"
        needs, files, commands, samples = [head_name], {}, [], []
        target = "affinities" if head.config == SEG_HEAD else "foreground"
        rows = head.rows(VALIDATE)
        for n, row in enumerate(rows):
            image = absolute(row["image"])
            if is_stored:
                embedding = self._embedding(i, contrastive, image)
                needs.append(embedding)
                image = str(self.root / embedding / "raw_embs.zarr/embedding")
            suffix = f"_{n}" if len(rows) > 1 else ""
            store = str(self.root / head_name / "samples" / f"sample_{number}{suffix}.zarr")
            region = row.get("region")
            overlay: dict[str, Any] = {"input": image, "output": store, "weights": weights, "levels": 1}
            overlay |= {"region": region, "class_output": "probabilities"}
            overlay |= {"roi_size": _WINDOW, "overlap": 0.0} if is_stored else {}
            files[f"predict{suffix}.json"] = overlay
            network = str(self.root / head_name / "network.json")
            commands.append(self._command("inference", ["inference", network], name, f"predict{suffix}.json"))
            samples.append({"store": store, "truth": absolute(row["labels"]), "region": region})
        files["validate.json"] = {
            "imports": ["$import sys"],
            "bundle_root": ".",
            "initialize": ["$sys.path.insert(1, str(@bundle_root))"],
            "run": [
                {
                    "_target_": "scripts.workflows.validate_samples",
                    "samples": samples,
                    "metrics": str(self.root / head_name / "metrics" / f"metrics_{number}.csv"),
                    "prediction": target,
                    "thresholds": list(head.thresholds),
                    "per_slice": per_slice,
                    "has_background": head.has_background,
                }
            ],
            "validation": "%run",
        }
        commands.append(self._command("validation", [], name, "validate.json"))
        self._add(Run(name, "val", str(self.root / name), files, tuple(commands), tuple(needs)), i, j)

    def _rows(self, i: int, number: int, head: Head, is_stored: bool) -> tuple[list[dict[str, Any]], list[str]]:
        """Rows of `volumes` of a head's training, and the runs that they need."""
        if head.num_points is None:
            rows = [
                {**row, "image": absolute(row["image"]), "labels": absolute(row["labels"]), "ref_label": "labels"}
                for row in head.volumes
            ]
            return rows, []
        row, *others = head.rows(TRAIN)
        if others:
            raise ValueError(
                f"points are drawn from one volume, but {len(others) + 1} train: {row['image']}, {others[0]['image']}"
            )
        points = self._add_points(head.num_points, row)
        image, needs = absolute(row["image"]), [points]
        if is_stored:
            embedding = self._embedding(i, number, image)
            needs.append(embedding)
            image = str(self.root / embedding / "raw_embs.zarr/embedding")
        placed = {"image": image, "points": str(self.root / points / "points.csv"), "split": TRAIN}
        return [placed | ({"region": row["region"]} if row.get("region") else {})], needs

    def _add_points(self, number: int, row: Mapping[str, Any]) -> str:
        """The run that draws the points of a volume."""
        labels, region = absolute(row["labels"]), row.get("region")
        found = {(run.files[OVERLAY]["labels"], str(run.files[OVERLAY]["region"])): name.split("/")[1]
                 for name, run in self.runs.items() if run.mode == "points"}  # fmt: skip
        volume = found.get((labels, str(region)), f"volume-{len(set(found.values()))}")
        name = f"points/{volume}/k-{number}"
        words = ["scripts", "points", labels, "--k", str(number), "--output", str(self.root / name / "points.csv")]
        words += ["--seed", "0", "--overwrite"] + (["--region", json.dumps(region)] if region else [])
        self._add(
            Run(
                name, "points", str(self.root / name),
                {OVERLAY: {"labels": labels, "region": region, "k": number, "seed": 0}}, (tuple(words),),
            ),
            None, None,
        )  # fmt: skip
        return name

    def _embedding(self, i: int, number: int, image: str) -> str:
        """The run that embeds an image."""
        part = next(part for part, path in self._images.items() if path == image)
        return f"combination-{i}/embs/contrastive_ckpt{number}/{part}"

    def _named_images(self) -> dict[str, str]:
        """What is embedded, by a name for its folder."""
        named = {part: absolute(path) for part, path in self.experiment.images.items()}
        for head in self.experiment.heads:
            if head.config != SPARSE_HEAD or not head.settings.get("saved_embeddings", True):
                continue
            for row in head.volumes:
                if (path := absolute(row["image"])) not in named.values():
                    part = {TRAIN: "train", VALIDATE: "validate"}[row["split"]]
                    names = (part, *(f"{part}_{n}" for n in range(1, len(named) + 1)))
                    named[next(one for one in names if one not in named)] = path
        return named

    def _training(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        folder = self.root / name
        return {
            **settings, "output_dir": str(folder), "ckpt_dir": str(folder / "checkpoints"), "load_model": "latest"
        }  # fmt: skip

    def _command(self, id: str, configs: Sequence[str], name: str, overlay: str = OVERLAY) -> tuple[str, ...]:
        files = [one if one.endswith(".json") else config_files([one])[0] for one in configs]
        return "monai.bundle", "run", id, "--config_file", str([*files, str(self.root / name / overlay)])

    def _add(self, run: Run, i: int | None, j: int | None) -> None:
        digests = {need: self.runs[need].digest for need in run.needs}
        self.runs[run.name] = replace(run, digests=digests)
        self.indices[run.name] = (i, j)


def absolute(path: str) -> str:
    """A path that means the same in every folder."""
    return path if is_url(path) or path.startswith("$") else str(Path(path).absolute())


def _absolute_rows(rows: Any) -> Any:
    if not isinstance(rows, list):
        return rows
    return [{**row, "image": _absolute_image(row["image"])} for row in rows]


def _absolute_image(image: str | list[str]) -> str | list[str]:
    return absolute(image) if isinstance(image, str) else [absolute(one) for one in image]
