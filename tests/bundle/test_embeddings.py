"""From images without labels to heads: the configs of docs/embeddings.md, one after the other, as a user runs them."""

import csv
import json
import re
import shlex

import numpy as np
import pytest
import torch
from scipy import ndimage
from tests.bundle.running import BUNDLE, command, folders, options, read_history, run, write_overlay

from scripts.volumes import create_ome_zarr, open_volume

pytestmark = pytest.mark.long

SHAPE = (48, 40, 40)
HALF = 24
REGIONS = {"train": [[0, 0, 0], [HALF, 40, 40]], "val": [[HALF, 0, 0], list(SHAPE)]}
SMALL = {
    "patch_size": [16, 16, 16], "features_per_stage": [8, 16], "n_blocks_per_stage": [1, 1], "h_channels": 6,
    "device": "cpu", "max_val_steps_per_epoch": 4,
}  # fmt: skip


def read(path):
    volume = open_volume(path)
    return volume.read((0, 0, 0), volume.spatial_shape)


def dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


PAGE = (BUNDLE / "docs" / "embeddings.md").read_text()
COMMANDS = [
    line.removeprefix("python -m ")
    for block in re.findall(r"^```bash\n(.*?)^```", PAGE.split("\n## Points\n")[0], re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
NETWORK = '--features_per_stage "[8,16]" --n_blocks_per_stage "[1,1]" --device cpu'
SHORT = "--max_epochs 1 --max_steps_per_epoch 12 --max_val_steps_per_epoch 2"
PARTS = '--train_region "[[0,0,0],[32,64,64]]" --val_region "[[32,0,0],[64,64,64]]"'


@pytest.fixture(scope="module")
def worked(tmp_path_factory):
    """Folder in which every command of the page was run on a small phantom, with a small network."""
    folder = tmp_path_factory.mktemp("page")
    for name in ("configs", "scripts"):
        (folder / name).symlink_to(BUNDLE / name)
    for line in COMMANDS:
        if line.startswith("scripts phantom"):
            line += " --size 64 --n_blocks 3 --block 32"
        line = line.replace("[[0,0,0],[96,192,192]]", "[[0,0,0],[32,64,64]]")
        if "run training" in line:
            line += f" {SHORT}" + (f" {NETWORK}" if "contrastive" in line else "")
            line += f" {PARTS}" if "sparse_head" in line else " --split_method random"
        command(*shlex.split(line), cwd=folder)
    return folder


def test_the_page_goes_from_pre_training_to_predictions(worked):
    for name in ("pre", "sparse", "saved", "dense", "scratch"):
        assert (worked / "models" / name / "model.pt").is_file()
        assert (worked / "output" / name / "network.json").is_file()
    embedding = open_volume(worked / "output" / "phantom_embedding.zarr" / "embedding")
    assert (embedding.channels, embedding.spatial_shape) == (12, (64, 64, 64))
    prediction = open_volume(worked / "output" / "sparse_prediction.zarr" / "foreground")
    assert prediction.spatial_shape == (64, 64, 64)


def history(folder):
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_training_of_the_page_was_scored(worked):
    scores = {"pre": "val_match", "dense": "val_affinities_dice"}
    for name in ("pre", "sparse", "saved", "dense", "scratch"):
        (epoch,) = history(worked / "output" / name)
        assert 0 < float(epoch[scores.get(name, "val_foreground_dice")]) < 1


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """Fine grain, and within blobs coarse grain that is a little brighter."""
    folder, rng = tmp_path_factory.mktemp("scan"), np.random.default_rng(0)
    blobs = ndimage.gaussian_filter(rng.normal(size=SHAPE), 4)
    inside = blobs > 0.3 * blobs.std()
    grain = [ndimage.gaussian_filter(rng.normal(size=SHAPE), sigma) for sigma in (0.4, 1.2)]
    fine, coarse = (g / g.std() for g in grain)
    image = np.clip(110 + 30 * inside + 30 * np.where(inside, coarse, fine), 0, 255)
    for name, array in (("image", image), ("blobs", inside)):
        writer = create_ome_zarr(folder / f"{name}.zarr", (1, *SHAPE), "uint8", spacing=(1, 1, 1), chunks=(16,) * 3)
        writer.write((0, 0, 0), array[None].astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def pretrained(scan):
    """Folder of a short pre-training on the first half, with embeddings of the whole scan."""
    root = scan / "pre"
    settings = write_overlay(
        scan / "pre.json", **SMALL, **folders(root), volumes=[{**row(scan, "train"), "split": None}], max_epochs=2,
        max_steps_per_epoch=25, batch_size=4, point_density=0.03,
    )  # fmt: skip
    run("training", configs=["configs/train.json", "configs/contrastive.json", settings])
    paths = options(input=scan / "image.zarr", output=scan / "embedding", weights=root / "models" / "model.pt")
    run("inference", *paths, configs=["configs/inference.json", network(scan), "configs/embed.json"])
    command(
        "scripts", "points", scan / "blobs.zarr", "--k", 32, "--output", scan / "points.csv",
        "--region", json.dumps(REGIONS["train"]),
    )  # fmt: skip
    return root


def network(scan):
    return scan / "pre" / "output" / "network.json"


def row(scan, part, image="image.zarr", **arrays):
    paths = {key: str(scan / name) for key, name in arrays.items()}
    return {"image": str(scan / image), **paths, "region": REGIONS[part], "split": part}


def both(scan, key):
    """The half that trains and the half that validates, the blobs under a key."""
    return [row(scan, part, **{key: "blobs.zarr"}) for part in REGIONS]


def train(scan, name, *configs, **settings):
    root = scan / name
    common = {key: value for key, value in SMALL.items() if key != "patch_size"} | folders(root)
    overlay = write_overlay(scan / f"{name}.json", **{**common, "max_epochs": 1, "batch_size": 8, **settings})
    printed = run("training", configs=["configs/train.json", *configs, overlay])
    (*_, last) = read_history(root)
    return printed, last


HEADS = ["configs/seg_head.json", "configs/sparse_head.json"]


def test_pre_training_finds_points_again(pretrained):
    rows = read_history(pretrained)
    n_points = round(0.03 * 16**3)
    first, last = (float(entry["val_match"]) for entry in rows)
    assert last > 5 / n_points  # by chance 1 of them
    assert float(rows[1]["train_contrastive"]) < float(rows[0]["train_contrastive"])
    assert first > 0


def test_embeddings_say_which_weights_made_them(scan, pretrained):
    stored = open_volume(scan / "embedding.zarr" / "embedding")
    assert (stored.channels, stored.spatial_shape, stored.dtype) == (6, SHAPE, np.float16)
    assert np.isfinite(read(scan / "embedding.zarr" / "embedding")).all()
    settings = {"base_weights": str(scan / "other.pt"), "volumes": points_volumes(scan, "embedding.zarr/embedding")}
    weights = torch.load(pretrained / "models" / "model.pt", weights_only=True)
    torch.save({name: value + 1 for name, value in weights.items()}, scan / "other.pt")
    with pytest.raises(pytest.fail.Exception, match=r"was made with other weights: its fingerprint is \w+"):
        train(scan, "wrong", *HEADS, "configs/saved_embeddings.json", **settings)


def points_volumes(scan, image="image.zarr"):
    return [row(scan, "train", image, points="points.csv"), row(scan, "val", image, foreground="blobs.zarr")]


def test_heads_from_points_live_and_on_stored_embeddings(scan, pretrained):
    weights = str(pretrained / "models" / "model.pt")
    common = {"max_steps_per_epoch": 40, "targets": {"foreground": {"channels": 2, "loss": "ce"}}}
    scores = {}
    for name, extra, settings in (
        ("live", [network(scan), *HEADS], {"base_weights": weights, "volumes": points_volumes(scan)}),
        ("saved", [*HEADS, "configs/saved_embeddings.json"],
         {"base_weights": weights, "volumes": points_volumes(scan, "embedding.zarr/embedding")}),
    ):  # fmt: skip
        printed, last = train(scan, name, *extra, **common, **settings)
        scores[name] = float(last["val_foreground_dice"])
        assert bool(re.search(r"weights from .*loaded base\.encoder", printed)) == (name == "live")
    found, truth = read(scan / "blobs.zarr")[0, HALF:] >= 0, read(scan / "blobs.zarr")[0, HALF:] > 0
    everything = dice(found, truth)
    print(f"Dice {scores}; everything a blob {everything:.3f}")
    assert min(scores.values()) > everything + 0.1
    # the head that was trained on stored embeddings predicts volumes of them
    paths = options(
        input=scan / "embedding.zarr" / "embedding", output=scan / "found",
        weights=scan / "saved" / "models" / "model.pt", roi_size="[16,16,16]", overlap=0.0,
    )  # fmt: skip
    run("inference", *paths, configs=["configs/inference.json", scan / "saved" / "output" / "network.json"])
    found = read(scan / "found.zarr" / "foreground")[0, HALF:] > 0
    assert dice(found, truth) == pytest.approx(scores["saved"], abs=0.1)


def test_a_dense_head_is_trained_on_a_frozen_base_and_a_free_one(scan, pretrained):
    weights = str(pretrained / "models" / "model.pt")
    before = torch.load(weights, weights_only=True)
    for frozen in (True, False):
        _, last = train(
            scan, f"dense_{frozen}", network(scan), "configs/seg_head.json", base_weights=weights, freeze_base=frozen,
            max_steps_per_epoch=5, volumes=both(scan, "labels"),
        )  # fmt: skip
        assert 0 < float(last["val_affinities_dice"]) < 1
        after = torch.load(scan / f"dense_{frozen}" / "models" / "model.pt", weights_only=True)
        same = [torch.equal(value, after[f"base.{name}"]) for name, value in before.items()]
        assert all(same) == frozen
    with pytest.raises(pytest.fail.Exception, match="base_weights: there are none, so that a frozen base would stay"):
        train(scan, "nothing", network(scan), "configs/seg_head.json", volumes=both(scan, "labels"))


def test_a_base_starts_a_training_of_other_targets(scan, pretrained):
    printed, _ = train(
        scan, "multi", network(scan), weights=str(pretrained / "models" / "model.pt"), max_steps_per_epoch=2,
        network_def=json.loads((BUNDLE / "configs" / "train.json").read_text())["network_def"],
        targets={"blobs": {"channels": 1}}, volumes=both(scan, "blobs"),
    )  # fmt: skip
    assert re.search(r"weights from .*loaded encoder.*starting anew.*heads\.blobs", printed)


def test_a_checkpoint_of_another_width_is_refused(scan, pretrained):
    with pytest.raises(pytest.fail.Exception, match=r"(?s)weights: .*heads\.embedding.*6.*instead of.*8"):
        train(
            scan, "width", network(scan), *HEADS, base_weights=str(pretrained / "models" / "model.pt"),
            volumes=points_volumes(scan), h_channels=8,
        )  # fmt: skip
