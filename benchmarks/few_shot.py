"""What pre-training without labels brings where a few points are annotated: scores against the number of points.

Each volume is cut in two. The image of the train part alone is pre-trained on, points come from its label, and scores
are those of the test part, which no training sees, nor the choice of a setting other than VOI's threshold.

Methods, each of 300 iterations of the head or the network:

- pretrained: a head on stored embeddings of the pre-trained network, one voxel a patch (`contrastive.json`,
  `embed.json`, `saved_embeddings.json`). Pre-trained once per data set.
- discriminant: a linear head in closed form on the same embeddings (`discriminant_head.json`); one iteration.
- scratch: the same network and head from random weights, on the same points (`sparse_baseline.json`).
- raw: the same head on the image's intensities.
- tuned: the pre-trained network trained on with its head (`freeze_base` false).
- dense: the network and head of `scratch` on the dense label of the train part.

Data (folders under $POLYTOME_DATA):

- em: medulla250 of em_fibsem, z < 125, and 160 x 160 voxels in the middle of z >= 125; foreground: membranes, the
  voxels where two bodies touch. VOI of neurons by watershed of the membrane's probability and agglomeration.
- nuclei: OME-Zarr 6001240, z < 150 and z >= 150; foreground: nuclei. VOI of the foreground's components.

Scores: Dice of the foreground at probability 0.5, and VOI in bits, for every method and seed at the threshold of
agglomeration that is best. A seed draws points, weights and order; smaller sets of points are the beginning of larger
ones. `ahead` is the Dice above that of `scratch`, `equal_s` the time after which a head first is as good as `scratch`
of the same points and seed in the end, over the `equal_seeds` that get there, without and with pre-training and
embedding.

Run: python benchmarks/few_shot.py [--data em,nuclei] [--methods pretrained,scratch] [--points 16,64] [--seeds 0,1]
Each result is in benchmarks/results/few_shot.json as soon as it is known, and runs that are there are not repeated.
Prints a table per data set and draws benchmarks/results/few_shot.png.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that wait must not spin

import fire
import harness
import numpy as np
import tifffile
import torch
from ignite.engine import Events
from matplotlib.figure import Figure
from monai.bundle import ConfigParser
from objects import read, store
from skimage import segmentation

from scripts.inferers import ZarrSlidingWindowInferer
from scripts.metrics import Contingency, variation_of_information
from scripts.patches import draw_points
from scripts.segmentation import Agglomerated, BlockSegmentation, Components, Segmenter
from scripts.transforms import LabelToBoundary, NormalizeImage
from scripts.volumes import create_ome_zarr, open_volume, write_points

NAME = "few_shot"
CONFIGS = harness.ROOT / "bundle" / "configs"
NETWORK = {"features_per_stage": [8, 16, 32], "n_blocks_per_stage": [1, 1, 1], "h_channels": 12}
METHODS = ("discriminant", "pretrained", "scratch", "raw", "tuned", "dense")
FROM_SCRATCH, PRETRAINED, DENSE, DISCRIMINANT = "scratch", "pretrained", "dense", "discriminant"
HEADS = {"discriminant", "pretrained", "raw"}
"""Methods whose network is the head alone."""
ON_EMBEDDINGS = {"discriminant", "pretrained"}
WITH_WEIGHTS = {"discriminant", "pretrained", "tuned"}
"""Methods that start from pre-trained weights."""
EPOCHS = 5
THRESHOLDS = (0.2, 0.4, 0.6, 0.8)
PRETRAINING = {"patch_size": [32, 32, 32], "point_density": 0.03, "negatives": "patch"}
"""Settings of `contrastive.json`; views are random crops, as large as the patches that train afterwards."""
AUGMENT = [
    {"_target_": "scripts.transforms.RandNoised", "keys": "image", "prob": 0.5, "std": [0.0, 0.1]},
    {"_target_": "scripts.transforms.RandContrastd", "keys": "image", "prob": 0.5, "factor": [0.75, 1.25]},
    {"_target_": "scripts.transforms.RandGammad", "keys": "image", "prob": 0.3, "gamma": [0.7, 1.5]},
    {"_target_": "scripts.transforms.RandMirrord", "keys": "image", "prob": 0.5},
]
"""Of each view: that of `contrastive.json` without blur, and with half of its noise."""
CHECKED = (10, 20, 30, 60, 90, 120, 150, 180, 210, 240, 270)
"""Iterations after which heads are scored besides the last one."""


@dataclass(frozen=True)
class Data:
    """A volume in two parts, as OME-Zarr.

    Args:
        image: path by part, "train" and "test".
        foreground: path of 0 and 1, by part.
        objects: path of ids that VOI goes by, by part.
        segmenter: what finds objects in the probability `foreground`.
        settings: of `train.json`.
        instances: path of ids that the points of the train part are spread over; `None`: over voxels alone.
        min_size: of objects, voxels.
    """

    image: dict[str, str]
    foreground: dict[str, str]
    objects: dict[str, str]
    segmenter: Segmenter
    settings: dict[str, Any]
    instances: str | None = None
    min_size: int | None = None


def main(
    data: Any = "em,nuclei",
    methods: Any = "pretrained,scratch,raw,dense",
    points: Any = "16,64,256,1024",
    seeds: Any = "0,1,2",
    iterations: int = 300,
    pretraining: int = 600,
    folder: str | None = None,
) -> None:
    """Pre-train, train, score, print, draw and write.

    Args:
        data: which, separated by commas.
        methods: which, separated by commas.
        points: numbers of points, separated by commas.
        seeds: of points, weights and order, separated by commas.
        iterations: of each head or network, a multiple of 5.
        pretraining: iterations of it, a multiple of 5.
        folder: keeps the pre-trained networks and the embeddings for the next run; default: they are made anew.
    """
    for name, number in (("iterations", iterations), ("pretraining", pretraining)):
        if number < EPOCHS or number % EPOCHS:
            raise ValueError(f"{name} must be a multiple of {EPOCHS}, the number of epochs; got {number}")
    settings = {"iterations": iterations, **NETWORK}
    logging.getLogger("scripts").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as scratch:
        for name in harness.choices("data", data, DATA):
            place = Path(folder or scratch) / name
            prepared = DATA[name](Path(os.environ["POLYTOME_DATA"]), place)
            for seed, method in itertools.product(harness.listed(seeds), harness.choices("methods", methods, METHODS)):
                for k in [None] if method == DENSE else [int(number) for number in harness.listed(points)]:
                    run = {"data": name, "method": method, "k": k, "seed": int(seed)}
                    if any(run.items() <= earlier.items() for earlier in results(settings)["runs"]):
                        continue
                    if method in WITH_WEIGHTS:
                        pretrained(prepared, place, pretraining, settings, name)
                    with tempfile.TemporaryDirectory(dir=scratch) as written:
                        run |= train(prepared, method, k, int(seed), iterations, place, Path(written))
                    content = results(settings)
                    content["runs"].append(run)
                    harness.write_results(NAME, content)
                    print(json.dumps({key: value for key, value in run.items() if key != "curve"}), flush=True)
    content = results(settings)
    content["tables"] = {name: summary(content, name) for name in DATA}
    for name, rows in content["tables"].items():
        if rows:
            harness.print_table(name, rows)
    harness.write_results(NAME, content)
    if any(content["tables"].values()):
        draw(content)


def results(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What is there already.

    Raises:
        ValueError: where it was made with other settings.
    """
    earlier = harness.read_results(NAME)
    if earlier and (others := {key: earlier[key] for key in settings if earlier[key] != settings[key]}):
        raise ValueError(f"the results that are there have {others}; give the same, or remove them")
    return earlier or {"machine": harness.machine(), **settings, "pretraining": {}, "runs": []}


def make_config(folder: Path, names: Sequence[str], **settings: Any) -> ConfigParser:
    """Several of the bundle's configs over each other, which write into a folder, with settings."""
    config = ConfigParser()
    config.read_config([CONFIGS / f"{name}.json" for name in names])
    folders = {"dataset_dir": str(folder), "output_dir": str(folder / "output"), "ckpt_dir": str(folder / "models")}
    config.update({"bundle_root": str(harness.ROOT / "bundle"), **folders, **settings})
    return config


def schedule(iterations: int, seed: int) -> dict[str, Any]:
    """Settings of a training that validates nothing: its last weights are what counts."""
    return {
        "max_epochs": EPOCHS, "max_steps_per_epoch": iterations // EPOCHS, "val_fraction": 0,
        "val_interval": EPOCHS + 1, "random_seed": seed,
    }  # fmt: skip


def pretrained(data: Data, place: Path, iterations: int, settings: Mapping[str, Any], name: str) -> None:
    """Pre-train on the image of the train part, and embed both parts; nothing where that has been done in `place`.

    Raises:
        ValueError: where the results that are there rest on another number of iterations.
    """
    done = results(settings)["pretraining"].get(name, {}).get("iterations", iterations)
    if done != iterations:
        raise ValueError(f"--pretraining {iterations}: results of {name} rest on {done}; give that, or remove them")
    if (place / "embedded").exists():
        return
    for old in ("pretraining", "embedding"):
        shutil.rmtree(place / old, ignore_errors=True)
    config = make_config(
        place / "pretraining",
        ("train", "contrastive"),
        volumes=[{"image": data.image["train"]}],
        **NETWORK | data.settings | PRETRAINING | schedule(iterations, 0),
    )
    view = {"keys": "image", "roi_size": data.settings["patch_size"], "random_size": False}
    config.update({"augment": [*AUGMENT, {"_target_": "RandSpatialCropd", **view}]})
    trainer = harness.start(config)
    begun = time.perf_counter()
    trainer.run()
    seconds = time.perf_counter() - begun
    weights = place / "pretraining" / "models" / "model.pt"
    weights.parent.mkdir(parents=True, exist_ok=True)
    torch.save(config.get_parsed_content("network").base.state_dict(), weights)
    begun = time.perf_counter()
    for part, image in data.image.items():
        config = ConfigParser()
        config.read_config(
            [CONFIGS / "inference.json", weights.parents[1] / "output" / "network.json", CONFIGS / "embed.json"]
        )
        config.update(
            {
                "bundle_root": str(harness.ROOT / "bundle"),
                "input": image,
                "weights": str(weights),
                "output": str(place / "embedding" / part),
                "patch_size": data.settings["patch_size"],
            }
        )
        config.get_parsed_content("initialize")
        config.get_parsed_content("run")
    content = results(settings)
    content["pretraining"][name] = {
        "iterations": iterations,
        "s_per_iteration": seconds / iterations, "seconds": seconds, "embedding_s": time.perf_counter() - begun,
        "loss": trainer.state.output["loss"].item(),
        **PRETRAINING,
    }  # fmt: skip
    harness.write_results(NAME, content)
    (place / "embedded").touch()


def head_config(
    data: Data, method: str, k: int | None, seed: int, iterations: int, place: Path, folder: Path
) -> ConfigParser:
    """The config of a method, which writes into a folder; `place` has what `pretrained` wrote."""
    files = ["train", "seg_head", *([] if method == DENSE else ["sparse_head"])]
    settings: dict[str, Any] = NETWORK | data.settings | schedule(iterations, seed)
    settings |= {
        "targets": {"foreground": {"channels": 2, "loss": "ce"}},
        "head": "sparse",
        "head_channels": NETWORK["h_channels"],
        "derive": [],
    }
    image = data.image["train"]
    volume = {"foreground": data.foreground["train"], "ref_label": "foreground"}
    if k is not None:
        volume = {"points": str(folder / "points.csv")}
        write_points(volume["points"], draw_points(data.foreground["train"], k, instances=data.instances, seed=seed))
    if method in WITH_WEIGHTS:
        settings["base_weights"] = str(place / "pretraining" / "models" / "model.pt")
    if method in HEADS:
        files.append("saved_embeddings")
        settings |= {"patch_size": [1, 1, 1], "chunk_cache": 10**9}
        if method == DISCRIMINANT:
            files.append("discriminant_head")
            settings.pop("head")
        if method in ON_EMBEDDINGS:
            image = embedding(place, "train")
            settings.pop("in_channels", None)
        else:
            settings |= {"in_channels": open_volume(image).channels, "normalization": "zscore_volume"}
    elif method == FROM_SCRATCH:
        files.append("sparse_baseline")
    else:
        settings |= {"freeze_base": False, "min_labeled_ratio": 0.0}
    return make_config(folder, files, volumes=[{"image": image, **volume}], **settings)


def embedding(place: Path, part: str) -> str:
    """Path of the embedding of a part."""
    return str(place / "embedding" / f"{part}.zarr" / "embedding")


def train(
    data: Data, method: str, k: int | None, seed: int, iterations: int, place: Path, folder: Path
) -> dict[str, Any]:
    """Train one head or network and score it on the test part.

    Args:
        data: what is trained on and scored.
        method: one of `METHODS`.
        k: number of points; `None`: the dense label.
        seed: of points, weights and order.
        iterations: of the training.
        place: has what `pretrained` wrote.
        folder: gets everything that this training writes.
    """
    config = head_config(data, method, k, seed, iterations, place, folder)
    trainer = harness.start(config)
    test = TestPart(data, embedding(place, "test") if method in ON_EMBEDDINGS else data.image["test"], config)
    if method == DISCRIMINANT:
        begun = time.perf_counter()
        config.get_parsed_content("run")
        seconds, probability = time.perf_counter() - begun, test.probability()
        return {
            "parameters": sum(one.numel() for one in trainer.network.parameters()),
            "s_per_iteration": seconds,
            "dice": test.dice(probability),
            **test.voi(probability, folder),
            "curve": {},
        }
    curve: dict[int, float] = {}
    paused = 0.0

    def check(engine: Any) -> None:
        nonlocal paused
        begun = time.perf_counter()
        curve[engine.state.iteration] = test.dice(test.probability())
        paused += time.perf_counter() - begun

    if method in HEADS:
        trainer.add_event_handler(Events.ITERATION_COMPLETED(event_filter=lambda _, n: n in CHECKED), check)
    begun = time.perf_counter()
    trainer.run()
    seconds = (time.perf_counter() - begun - paused) / trainer.state.iteration
    probability = test.probability()
    curve[trainer.state.iteration] = test.dice(probability)
    return {
        "parameters": sum(one.numel() for one in trainer.network.parameters() if one.requires_grad),
        "s_per_iteration": seconds,
        "dice": curve[trainer.state.iteration],
        **test.voi(probability, folder),
        "curve": curve,
    }


class TestPart:
    """The part that is scored.

    Args:
        data: with the truth.
        image: path of what the network takes: an image, or an embedding.
        config: of the network.
    """

    __test__ = False  # for pytest

    def __init__(self, data: Data, image: str, config: ConfigParser) -> None:
        self.data = data
        self.network = config.get_parsed_content("scored_network")
        self.truth = read(data.foreground["test"]) > 0
        volume = open_volume(image)
        values = torch.from_numpy(volume.decode(volume.read((0, 0, 0), volume.spatial_shape)))
        self.image = NormalizeImage(config["normalization"]).bind(volume)(values)[None]  # C D H W -> B C D H W
        # as large as in training, so that instance normalization sees as much
        self.inferer = ZarrSlidingWindowInferer(data.settings["patch_size"], 2, 0.25)

    @torch.no_grad()
    def probability(self) -> np.ndarray:
        """Of the foreground, D H W."""
        was_training = self.network.training
        self.network.eval()
        if self.network.base is None:
            parts = [self.network(part)["foreground"] for part in self.image.split(16, dim=2)]
            logits = torch.cat(parts, dim=2)
        else:
            logits = self.inferer(self.image, self.network)["foreground"]
        self.network.train(was_training)
        return logits.softmax(dim=1)[0, 1].numpy()

    def dice(self, probability: np.ndarray) -> float:
        """Of the foreground."""
        found = probability > 0.5
        return float(2 * (found & self.truth).sum() / max(found.sum() + self.truth.sum(), 1))

    def voi(self, probability: np.ndarray, folder: Path) -> dict[str, float]:
        """The smallest sum over the thresholds and its parts, bits."""
        objects = self.data.objects["test"]
        path = store(folder / "probability.zarr", probability, open_volume(objects).spacing)
        run = BlockSegmentation(
            {"foreground": path}, self.data.segmenter, folder / "objects", min_size=self.data.min_size
        )
        truth = read(objects)
        found = [variation_of_information(Contingency.of(read(one), truth)) for one in run.run().values()]
        split, merge = min(found, key=sum)
        return {"voi": split + merge, "voi_split": split, "voi_merge": merge}


def prepare_em(source: Path, folder: Path, split: int = 125) -> Data:
    """Neurons: membranes between bodies."""
    raw, bodies = (tifffile.imread(source / "em_fibsem" / f"medulla250_{name}.tif") for name in ("raw", "bodies"))
    filled = segmentation.expand_labels(bodies, 10)  # 0 is a boundary of some voxels
    membrane = LabelToBoundary(spacing=(10.0,) * 3)(torch.from_numpy(filled.astype(np.int32))[None])[0]
    paths = parts(
        folder,
        split,
        (10.0,) * 3,
        (slice(45, 205),) * 2,
        image=raw,
        foreground=np.asarray(membrane).astype(np.uint8),
        objects=bodies,
    )
    return Data(
        **paths,
        segmenter=Agglomerated(THRESHOLDS, boundary="foreground", halo_length=160.0, min_distance=30.0, min_size=200),
        settings={"patch_size": [24, 24, 24]},
    )


def prepare_nuclei(source: Path, folder: Path, split: int = 150) -> Data:
    """Nuclei in two channels."""
    path = source / "ome_zarr" / "6001240_labels_v0.5.zarr"
    image, label = open_volume(str(path)), open_volume(f"{path}/labels/0::2")
    raw, nuclei = (volume.read((0, 0, 0), volume.spatial_shape) for volume in (image, label))
    paths = parts(
        folder, split, image.spacing, image=raw, foreground=(nuclei[0] > 0).astype(np.uint8), objects=nuclei[0]
    )
    return Data(
        **paths,
        segmenter=Components("foreground", above=0.5),
        settings={"patch_size": [24, 24, 24], "in_channels": 2},
        instances=paths["objects"]["train"],
        min_size=20,
    )


def parts(
    folder: Path, split: int, spacing: Sequence[float], middle: tuple[slice, ...] = (), **arrays: np.ndarray
) -> dict[str, Any]:
    """Write both parts of arrays D H W (or C D H W), cut at a z; path by part by name."""
    paths: dict[str, Any] = {}
    for name, array in arrays.items():
        whole = array if array.ndim == 4 else array[None]
        paths[name] = {}
        for part, values in (("train", whole[:, :split]), ("test", whole[:, split:, *middle])):
            path = folder / f"{name}_{part}.zarr"
            if not path.exists():
                create_ome_zarr(path, values.shape, values.dtype, spacing=spacing).write((0, 0, 0), values)
            paths[name][part] = str(path)
    return paths


def summary(content: Mapping[str, Any], name: str) -> harness.Rows:
    """A row per method and number of points of one data set: means over seeds, lowest and highest Dice."""
    groups: dict[tuple[str, int | None], dict[int, Mapping[str, Any]]] = {}
    for run in content["runs"]:
        if run["data"] == name:
            groups.setdefault((run["method"], run["k"]), {})[run["seed"]] = run
    before = content["pretraining"].get(name, {})
    rows = []
    for (method, k), by_seed in sorted(groups.items(), key=lambda one: (one[0][1] or 0, METHODS.index(one[0][0]))):
        runs = list(by_seed.values())
        compared = groups.get((FROM_SCRATCH, k), {})
        ahead = [run["dice"] - compared[seed]["dice"] for seed, run in by_seed.items() if seed in compared]
        equal = [
            seconds
            for seed, run in by_seed.items()
            if seed in compared and (seconds := seconds_until(run, compared[seed]["dice"])) is not None
        ]
        added = before["seconds"] + before["embedding_s"] if method == PRETRAINED and before else 0.0
        rows.append(
            {
                "ahead": mean(ahead),
                "points": k,
                "method": method,
                "seeds": len(runs),
                **{key: mean([run[key] for run in runs]) for key in ("dice", "voi", "voi_split", "voi_merge")},
                "dice_low": min(run["dice"] for run in runs),
                "dice_high": max(run["dice"] for run in runs),
                "s_per_iteration": mean([run["s_per_iteration"] for run in runs]),
                "equal_seeds": len(equal),
                "equal_s": mean(equal),
                "equal_with_pretraining_s": mean([seconds + added for seconds in equal]),
            }
        )
    return rows


def seconds_until(run: Mapping[str, Any], dice: float) -> float | None:
    """Seconds of training until a run was first scored at least this; `None`: never."""
    reached = [int(iteration) for iteration, score in run["curve"].items() if score >= dice]
    return min(reached) * run["s_per_iteration"] if reached else None


def mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def draw(content: Mapping[str, Any], path: Path | None = None) -> None:
    """Dice against the number of points: a line per method, from the lowest to the highest seed a band."""
    tables = {name: rows for name, rows in content["tables"].items() if rows}
    figure = Figure(figsize=(5.5 * len(tables), 4.2), layout="constrained")
    for axes, (name, rows) in zip(figure.subplots(1, len(tables), squeeze=False)[0], tables.items(), strict=True):
        for number, method in enumerate(METHODS):
            own = [row for row in rows if row["method"] == method]
            colour = f"C{number}"
            if method == DENSE and own:
                axes.axhline(own[0]["dice"], color=colour, linestyle="--", label=method)
                axes.axhspan(own[0]["dice_low"], own[0]["dice_high"], color=colour, alpha=0.15, linewidth=0)
            elif own:
                points = [row["points"] for row in own]
                axes.plot(points, [row["dice"] for row in own], "o-", color=colour, label=method)
                low, high = ([row[key] for row in own] for key in ("dice_low", "dice_high"))
                axes.fill_between(points, low, high, color=colour, alpha=0.15, linewidth=0)
        ticks = sorted({row["points"] for row in rows if row["points"]})
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [str(k) for k in ticks])
        axes.set(xlabel="annotated points", ylabel="Dice of the test part", title=name)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path or harness.RESULTS / f"{NAME}.png", dpi=110)


DATA = {"em": prepare_em, "nuclei": prepare_nuclei}

if __name__ == "__main__":
    fire.Fire(main)
