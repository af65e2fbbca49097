"""Objects in real volumes: a network trained for minutes on one part, segmented and scored on a part never trained on.

- em: FIB-SEM of neurons (em_fibsem under $POLYTOME_DATA). A boundary network is trained on z < 125 of medulla250 and
  x < 100 of gala_train; fragments are agglomerated by the boundary. The threshold is the one that is best on the part
  that was trained on. Scored on the rest, by variation of information (bits) and adapted Rand error, against two
  baselines: everything one object, and the watershed of the raw image. Goal: VOI sum at most 0.6 x the better one.
- nuclei: OME-Zarr 6001240 (trained on z < 150, scored on z >= 150), and mouse embryos (trained at 8 cells, scored at
  16). A network predicts foreground and distance; components of a high distance are seeds of a watershed. Goal: F1 at
  IoU 0.5 at least 0.6.

Run: python benchmarks/objects.py [--data em,nuclei] [--iterations 800] [--seed 0]
Prints a table per data set and writes benchmarks/results/objects.json.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that wait must not spin

import fire
import harness
import numpy as np
import tifffile
import torch
from scipy import ndimage
from skimage import segmentation

from scripts.inferers import ZarrSlidingWindowInferer
from scripts.metrics import (
    Contingency,
    adapted_rand,
    match_objects,
    matching_scores,
    variation_of_information,
)
from scripts.segmentation import Agglomerated, BlockSegmentation, Components, Watershed
from scripts.transforms import NormalizeImage
from scripts.volumes import create_ome_zarr, open_volume

NAME = "objects"
EPOCHS = 20
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6)
GOALS = {"em": 0.6, "nuclei": 0.6}
DISTANCE = {"_target_": "scripts.transforms.LabelToDistanced", "per_instance": True, "normalize": True}

Box = Sequence[Sequence[int]]
"""First voxel, and last plus one, z y x."""


def main(data: Any = "em,nuclei", iterations: int = 800, seed: int = 0) -> None:
    """Train, segment, score, print and write.

    Args:
        data: which, separated by commas.
        iterations: of each training, a multiple of 20.
        seed: of weights, patches and augmentation.
    """
    source = Path(os.environ["POLYTOME_DATA"])
    result = harness.read_results(NAME)
    for name in harness.choices("data", data, DATA):
        with tempfile.TemporaryDirectory() as folder:
            rows = DATA[name](source, Path(folder), iterations, seed)
        harness.print_table(f"{name} (goal {GOALS[name]})", rows)
        result[name] = {
            "machine": harness.machine(), "iterations": iterations, "seed": seed, "goal": GOALS[name], "rows": rows,
        }  # fmt: skip
        harness.write_results(NAME, result)


def em(source: Path, folder: Path, iterations: int, seed: int) -> harness.Rows:
    """Neurons."""
    volumes = {}
    for name, part in (("medulla250", [[0, 0, 0], [125, 250, 250]]), ("gala_train", [[0, 0, 0], [50, 100, 100]])):
        paths = {}
        for key, suffix in (("image", "raw"), ("bodies", "bodies")):
            array = tifffile.imread(source / "em_fibsem" / f"{name}_{suffix}.tif")
            if key == "bodies":
                paths["truth"] = store(folder / f"{name}_truth.zarr", array)
                array = segmentation.expand_labels(array, 10)  # 0 is a boundary of some voxels in gala_train
            paths[key] = store(folder / f"{name}_{key}.zarr", array)
        volumes[name] = (paths, part)
    trained = train(
        folder,
        iterations,
        seed,
        targets={"boundary": {"channels": 1, "source": "bodies"}},
        volumes=[
            {"image": paths["image"], "bodies": paths["bodies"], "ref_label": "bodies", "region": part}
            for paths, part in volumes.values()
        ],
        derive=[{"_target_": "scripts.transforms.LabelToBoundaryd", "keys": "bodies", "output_keys": "boundary"}],
        patch_size=[32, 48, 48],
        stride=[9, 24, 24],
    )
    rows = []
    for name, (paths, part) in volumes.items():
        truth = read(paths["truth"])
        axis = int(np.argmax([end != n for end, n in zip(part[1], truth.shape, strict=True)]))
        rest = [[0, 0, 0], list(truth.shape)]
        rest[0][axis] = part[1][axis]
        found = {}
        for place, region in (("trained", part), ("rest", rest)):
            boundary = predict(trained, paths["image"], folder / f"{name}_{place}", region)["boundary"]
            begun = time.perf_counter()
            outputs = BlockSegmentation(
                {"boundary": boundary},
                Agglomerated(THRESHOLDS, boundary="boundary", halo_length=160.0, min_distance=30.0, min_size=200),
                folder / f"{name}_{place}_objects",
            ).run()
            seconds = time.perf_counter() - begun
            here = cut(truth, region)
            found[place] = {
                threshold: (Contingency.of(read(path), here), seconds)
                for threshold, path in zip(THRESHOLDS, outputs.values(), strict=True)
            }
        best = min(THRESHOLDS, key=lambda threshold: sum(variation_of_information(found["trained"][threshold][0])))
        here, raw = cut(truth, rest), cut(read(paths["image"]), rest)
        table, seconds = found["rest"][best]
        baselines = {
            "one object": Contingency.of(np.ones_like(here), here),
            "watershed of the raw image": Contingency.of(raw_watershed(raw), here),
        }
        better = min(sum(variation_of_information(other)) for other in baselines.values())
        for method, scored in {f"boundary network, threshold {best}": table, **baselines}.items():
            split, merge = variation_of_information(scored)
            rows.append(
                {
                    "ratio": (split + merge) / better,
                    "volume": name,
                    "method": method,
                    "voi": split + merge,
                    "voi_split": split,
                    "voi_merge": merge,
                    "adapted_rand_error": adapted_rand(scored).error,
                    "voxels_per_s": here.size / seconds if scored is table else None,
                }
            )
    return rows


def raw_watershed(raw: np.ndarray) -> np.ndarray:
    """Watershed of the smoothed image, whose membranes are dark, from its bright basins."""
    dark = -ndimage.gaussian_filter(raw.astype(np.float32), 2)
    return segmentation.watershed(dark)  # from all local minima


def nuclei(source: Path, folder: Path, iterations: int, seed: int) -> harness.Rows:
    """Nuclei."""
    ids = source / "ome_zarr" / "6001240_labels_v0.5.zarr"
    whole = open_volume(ids).spatial_shape
    cases: dict[str, Any] = {
        "6001240": (
            {"image": str(ids), "nuclei": f"{ids}/labels/0::2", "region": [[0, 0, 0], [150, *whole[1:]]]},
            ({"image": str(ids), "nuclei": f"{ids}/labels/0::2"}, [[150, 0, 0], list(whole)]),
            {"in_channels": 2, "patch_size": [48, 32, 32]},
            4.0,
        )
    }
    embryos = {}
    for stage in (8, 16):
        parts = [
            tifffile.imread(source / "nuclei3d" / f"mouse_embryo_{stage}cell_{part}.tif")
            for part in ("raw", "foreground", "markers")
        ]
        foreground = parts[1] > 0
        instances = segmentation.watershed(
            -ndimage.distance_transform_edt(foreground, sampling=(2.18, 1, 1)),
            ndimage.label(parts[2] > 0, np.ones((3, 3, 3)))[0],
            mask=foreground,
        )
        embryos[stage] = {
            key: store(folder / f"{stage}_{key}.zarr", array, (2.18, 1.0, 1.0))
            for key, array in (("image", parts[0]), ("nuclei", instances.astype(np.uint16)))
        }
    shape = open_volume(embryos[16]["image"]).spatial_shape
    cases["mouse embryo"] = (
        embryos[8],
        (embryos[16], [[0, 0, 0], list(shape)]),
        {"in_channels": 1, "patch_size": [24, 48, 48]},
        8.0,
    )
    rows = []
    for name, (volume, (test, region), settings, clip) in cases.items():
        place = folder / name.replace(" ", "_")
        place.mkdir()
        trained = train(
            place,
            iterations,
            seed,
            targets={
                "nuclei": {"channels": 1},
                "distance": {"channels": 1, "kind": "scalar", "source": "nuclei"},
            },
            volumes=[{**volume, "ref_label": "nuclei"}],
            derive=[
                {**DISTANCE, "keys": "nuclei", "output_keys": "distance", "clip": clip},
            ],
            min_bbox_percent=0.2,
            min_labeled_ratio=0.02,
            **settings,
        )  # fmt: skip
        predicted = predict(trained, test["image"], place / "prediction", region)
        begun = time.perf_counter()
        seeds = BlockSegmentation(predicted, Components("distance", above=0.4), place / "seeds", min_size=20).run()[
            "objects"
        ]
        objects = BlockSegmentation(
            {**predicted, "seeds": seeds},
            Watershed("distance", "seeds", mask="nuclei", inverted=True, halo_length=20.0),
            place / "objects",
        ).run()["objects"]
        seconds = time.perf_counter() - begun
        truth = cut(read(test["nuclei"]), region)
        table = Contingency.of(read(objects), truth)
        scores = matching_scores(match_objects(table, threshold=0.5))
        rows.append(
            {
                "f1": scores["f1"],
                "volume": name,
                "true": int(len(np.unique(truth)) - 1),
                "found": int(read(objects).max()),
                "precision": scores["precision"],
                "recall": scores["recall"],
                "panoptic_quality": scores["panoptic_quality"],
                "voi": sum(variation_of_information(table)),
                "voxels_per_s": truth.size / seconds,
            }
        )
    return rows


def train(folder: Path, iterations: int, seed: int, **settings: Any) -> Any:
    """Train `configs/train.json` with settings; the config of the finished training."""
    config = harness.training_config(
        folder,
        features_per_stage=[16, 32, 64],
        n_blocks_per_stage=[1, 1, 1],
        max_epochs=EPOCHS,
        max_steps_per_epoch=iterations // EPOCHS,
        val_fraction=0,
        val_interval=EPOCHS + 1,
        random_seed=seed,
        **settings,
    )
    trainer = harness.start(config)
    begun = time.perf_counter()
    trainer.run()
    print(
        f"{folder.name}: trained {trainer.state.iteration} iterations in {time.perf_counter() - begun:.0f} s",
        flush=True,
    )
    return config


def predict(config: Any, image: str, output: Path, region: Box) -> dict[str, str]:
    """Stream a region of a volume through the trained network, mirrored along x, too."""
    network = config.get_parsed_content("scored_network").eval()
    roi = [min(2 * n, 96) for n in config["patch_size"]]
    inferer = ZarrSlidingWindowInferer(
        roi, 2, 0.25, output=output, targets=network.targets, mirror_axes=["x"],
        window_transform=NormalizeImage(config["normalization"]),
    )  # fmt: skip
    with torch.no_grad():
        return inferer(open_volume(image), network, region=region)


def store(path: Path, array: np.ndarray, spacing: Sequence[float] = (10.0, 10.0, 10.0)) -> str:
    """Write D H W."""
    writer = create_ome_zarr(path, (1, *array.shape), array.dtype, spacing=spacing)
    writer.write((0, 0, 0), array[None])
    return str(path)


def read(path: str) -> np.ndarray:
    """All voxels D H W."""
    volume = open_volume(path)
    return volume.read((0, 0, 0), volume.spatial_shape)[0]


def cut(array: np.ndarray, box: Box) -> np.ndarray:
    return array[tuple(slice(a, b) for a, b in zip(*box, strict=True))]


DATA: Mapping[str, Any] = {"em": em, "nuclei": nuclei}

if __name__ == "__main__":
    fire.Fire(main)
