"""The main job on real volumes: a shrunk training, then streamed inference on a part that the training never saw."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tests.bundle.running import command, folders, read_history, run, write_overlay

from scripts.volumes import create_ome_zarr, open_volume
from scripts.workflows.convert import convert

SEED = 7

SMALL = {
    "features_per_stage": [8, 16, 32],
    "n_blocks_per_stage": [1, 2, 2],
    "squeeze_excitation": False,
    "learning_rate": 0.006,
    "random_seed": SEED,
    "device": "cpu",
}
"""A network, and a haste, with which two CPU cores get somewhere in a minute."""

Box = tuple[slice, slice, slice]


def dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Overlap of two boolean arrays."""
    return 2 * np.count_nonzero(prediction & truth) / (np.count_nonzero(prediction) + np.count_nonzero(truth))


def voxels(path: str | Path) -> np.ndarray:
    """All voxels of a one-channel volume, D H W."""
    volume = open_volume(path)
    return volume.read((0, 0, 0), volume.spatial_shape)[0]  # 1 D H W -> D H W


def train(root: Path, **settings: object) -> None:
    """Train the shrunk config with the command line, and check that the loss fell."""
    overlay = write_overlay(root / "overlay.json", **SMALL, **folders(root), **settings)
    begun = time.perf_counter()
    run("training", configs=["configs/train.json", overlay])
    rows = read_history(root)
    first, last = float(rows[0]["train_total"]), float(rows[-1]["train_total"])
    print(
        f"\n{root.name}: trained {rows[-1]['iteration']} iterations in {time.perf_counter() - begun:.0f} s (start "
        f"included), loss {first:.3f} -> {last:.3f}, validation {rows[0]['val_score']} -> {rows[-1]['val_score']}"
    )
    assert last < 0.8 * first


def predict(root: Path, inputs: Sequence[str | Path]) -> list[Path]:
    """Stream every input with the command line; the predictions' groups, in order."""
    overlay = write_overlay(
        root / "predict.json", **folders(root), device="cpu", input_data=[{"image": str(path)} for path in inputs]
    )
    run(
        "inference",
        *("--input", inputs[0]),
        *("--output", root / "predicted" / "{name}.zarr"),
        *("--weights", root / "models" / "model.pt"),
        configs=["configs/inference.json", root / "output" / "network.json", overlay],
    )
    return [root / "predicted" / f"{open_volume(path).name}.zarr" for path in inputs]


def assert_same_geometry(prediction: Path, source: str | Path) -> None:
    written, given = open_volume(prediction), open_volume(source)
    assert written.spatial_shape == given.spatial_shape
    assert written.spacing == pytest.approx(given.spacing, rel=1e-12)
    assert written.translation == pytest.approx(given.translation, rel=1e-12)
    assert written.unit == given.unit


def faces_between_ids(ids: np.ndarray) -> np.ndarray:
    """Voxels of objects that share a face with another id, D H W bool."""
    touching = np.zeros(ids.shape, bool)
    for axis in range(3):
        low, high = (np.delete(np.arange(ids.shape[axis]), end) for end in (-1, 0))
        differs = np.take(ids, low, axis) != np.take(ids, high, axis)
        for side in (low, high):
            index = [slice(None)] * 3
            index[axis] = side
            touching[tuple(index)] |= differs
    return touching & (ids > 0)


@pytest.mark.real_data
@pytest.mark.long
def test_nuclei_read_directly_from_ome_zarr(real_data: Path, tmp_path: Path) -> None:
    image = str(real_data / "ome_zarr" / "6001240_labels_v0.5.zarr")
    nuclei = f"{image}/labels/0::2"  # the level on the image's grid
    train(
        tmp_path,
        targets={
            "foreground": {"channels": 1},
            "distance": {"channels": 1, "kind": "scalar", "source": "foreground"},
        },
        volumes=[{"image": image, "foreground": nuclei, "region": [[0, 0, 0], [150, 68, 67]]}],
        derive=[
            {
                "_target_": "scripts.transforms.LabelToDistanced",
                "keys": "foreground",
                "output_keys": "distance",
                "clip": 4.0,
                "normalize": True,
            }
        ],
        in_channels=2,
        patch_size=[32, 32, 32],
        min_bbox_percent=0.3,
        min_labeled_ratio=0.02,
        max_epochs=3,
        max_steps_per_epoch=12,
        max_val_steps_per_epoch=4,
    )
    (prediction,) = predict(tmp_path, [image])
    unseen = np.s_[160:]
    truth = voxels(nuclei)[unseen] > 0
    everything, score = (
        dice(found, truth) for found in (truth | True, voxels(prediction / "foreground")[unseen] >= 128)
    )
    print(f"nuclei, z >= 160: Dice {score:.3f}; everything a nucleus {everything:.3f}")
    for target in ("foreground", "distance"):
        assert_same_geometry(prediction / target, image)
    assert score >= everything + 0.3


@pytest.mark.real_data
def test_hippocampus_converted_from_nifti(real_data: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in (real_data / "hippocampus" / "images").glob("*.nii.gz"))[:9]
    cases = []
    for name in names:
        case = name.removesuffix(".nii.gz")
        cases.append({"image": str(tmp_path / f"{case}.zarr"), "classes": str(tmp_path / f"{case}_label.zarr")})
        convert(real_data / "hippocampus" / "images" / name, cases[-1]["image"], kind="image", levels=1)
        convert(real_data / "hippocampus" / "labels" / name, cases[-1]["classes"], kind="label", levels=1)
    train(
        tmp_path,
        targets={
            "classes": {"channels": 3},
            "distance": {"channels": 1, "kind": "scalar", "source": "classes"},
        },
        volumes=[{**case, "split": "train"} for case in cases[:6]] + [{**cases[6], "split": "val"}],
        derive=[
            {
                "_target_": "scripts.transforms.LabelToDistanced",
                "keys": "classes",
                "output_keys": "distance",
                "clip": 5.0,
                "normalize": True,
            }
        ],
        patch_size=[32, 40, 32],
        min_bbox_percent=0.1,  # the structure fills a small part of the volume
        min_labeled_ratio=0.05,
        max_epochs=4,
        max_steps_per_epoch=20,
        max_val_steps_per_epoch=4,
    )
    unseen = cases[7:]
    overlaps, everything = [], []
    predictions = predict(tmp_path, [case["image"] for case in unseen])
    for prediction, case in zip(predictions, unseen, strict=True):
        predicted, truth = voxels(prediction / "classes"), voxels(case["classes"])
        overlaps += [dice(predicted == label, truth == label) for label in (1, 2)]
        everything += [dice(truth > -1, truth == label) for label in (1, 2)]
        for target in ("classes", "distance"):
            assert_same_geometry(prediction / target, case["image"])
    score = float(np.mean(overlaps))
    print(f"hippocampus, 2 unseen cases: mean Dice {score:.3f}; everything of one class {np.mean(everything):.3f}")
    assert score >= np.mean(everything) + 0.3


@pytest.mark.real_data
@pytest.mark.long
def test_boundaries_of_neurons_in_em(real_data: Path, tmp_path: Path) -> None:
    spacing = (10.0, 10.0, 10.0)
    raw, bodies = tmp_path / "raw.zarr", tmp_path / "bodies.zarr"
    for name, output, kind in (("raw", raw, "image"), ("bodies", bodies, "label")):
        command(
            *("scripts", "convert", real_data / "em_fibsem" / f"medulla250_{name}.tif", output, "--kind", kind),
            *("--spacing", "[10,10,10]", "--unit", "nm", "--levels", 1),
        )
    train(
        tmp_path,
        targets={
            "boundary": {"channels": 1, "source": "bodies"},
            "distance": {"channels": 1, "kind": "scalar", "source": "bodies"},
        },
        volumes=[
            {"image": str(raw), "bodies": str(bodies), "ref_label": "bodies", "region": [[0] * 3, [125, 250, 250]]}
        ],
        derive=[
            {
                "_target_": "scripts.transforms.LabelToDistanced",
                "keys": "bodies",
                "output_keys": "distance",
                "per_instance": True,
                "clip": 100.0,
                "normalize": True,
            },
            {"_target_": "scripts.transforms.LabelToBoundaryd", "keys": "bodies", "output_keys": "boundary"},
        ],
        patch_size=[32, 40, 40],
        max_epochs=3,
        max_steps_per_epoch=16,
        max_val_steps_per_epoch=4,
    )
    start, size = (190, 60, 100), (56, 88, 88)
    block = tmp_path / "block.zarr"
    here = tuple(slice(low, low + n) for low, n in zip(start, size, strict=True))
    writer = create_ome_zarr(
        block, (1, *size), "uint8", spacing=spacing, translation=[low * 10.0 for low in start], unit="nm"
    )
    writer.write((0, 0, 0), tifffile.imread(real_data / "em_fibsem" / "medulla250_raw.tif")[here][None])
    writer.finish()
    truth = faces_between_ids(tifffile.imread(real_data / "em_fibsem" / "medulla250_bodies.tif")[here])
    (prediction,) = predict(tmp_path, [block])
    everything, score = (dice(found, truth) for found in (truth | True, voxels(prediction / "boundary") >= 128))
    print(f"EM, block at {start}: boundary Dice {score:.3f}; everything a boundary {everything:.3f}")
    for target in ("boundary", "distance"):
        assert_same_geometry(prediction / target, block)
    assert score >= everything + 0.15
