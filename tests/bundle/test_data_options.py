"""The options of `train.json` about data reach what they are about."""

import json

import numpy as np
import pytest
import zarr
from monai.bundle import ConfigParser
from tests.bundle.running import BUNDLE, run, write_overlay

from scripts.patches import write_datalist


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A scan with two organs: one everywhere, one in a corner only."""
    root = tmp_path_factory.mktemp("scan")
    rng = np.random.default_rng(0)
    organ = (rng.random((48, 48, 64)) < 0.5).astype(np.uint8)
    organ[:20, :20, :20] *= 2
    image = (organ.astype(int) * 1000 + rng.integers(0, 300, organ.shape)).astype(np.uint16)
    for name, array in (("image", image), ("organ", organ)):
        zarr.create_array(str(root / f"{name}.zarr"), shape=array.shape, chunks=(16,) * 3, dtype=array.dtype)[...] = (
            array
        )
    write_datalist(root / "datalist.json", [{"image": f"{root}/image.zarr", "organ": f"{root}/organ.zarr"}])
    return root


def parse(folder, output, **changes):
    """The config for that scan, with some options changed."""
    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "train.json"))
    settings = {
        "targets": {"organ": {"channels": 3}},
        "volumes": [{"image": f"{folder}/image.zarr", "organ": f"{folder}/organ.zarr"}],
        "patch_size": [16, 16, 16],
        "split_guard": 0,
        "device": "cpu",
        "output_dir": str(output),
        **changes,
    }
    for key, value in settings.items():
        parser[key] = value
    return parser


def value(parser, key):
    return parser.get_parsed_content(key)


def places(data):
    return [tuple(datum["start"]) for datum in data]


def test_defaults_draw_uniformly_move_patches_and_keep_the_caches(folder, tmp_path):
    parser = parse(folder, tmp_path)
    assert value(parser, "train#sampler").method == "uniform"
    assert len(value(parser, "train#sampler")) == value(parser, "max_steps_per_epoch") * value(parser, "batch_size")
    datum = value(parser, "train#data")[0]
    assert value(parser, "train#preprocessing")(datum)["image"].shape == (1, 16, 16, 16)
    first, last = datum["start_range"]
    assert max(np.subtract(last, first)) > 0
    assert "start_range" not in value(parse(folder, tmp_path, jitter=0), "train#data")[0]
    assert (tmp_path / "patches.json").is_file()
    assert (tmp_path / "intensities.json").is_file()


def test_use_cache_false_writes_none(folder, tmp_path):
    parser = parse(folder, tmp_path, use_cache=False, sampler="class_balanced")
    assert len(value(parser, "train#data")) > 0
    assert value(parser, "image_statistics")["volumes"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sampler", ["foreground", "class_balanced"])
def test_samplers_by_class_draw_the_rare_organ_more_often(folder, tmp_path, sampler):
    changes = {"sampler": sampler, "foreground_share": 0.9, "max_steps_per_epoch": 200, "val_fraction": 0}
    parser = parse(folder, tmp_path, **changes)
    starts = np.array(places(value(parser, "train#data")))
    is_rare = (starts < 20).all(axis=1)
    drawn = list(value(parser, "train#sampler"))
    assert is_rare[drawn].mean() > 1.5 * is_rare.mean()
    assert (tmp_path / "classes.json").is_file()


def test_force_all_classes_leaves_the_patches_with_both_organs(folder, tmp_path):
    parser = parse(folder, tmp_path, force_all_classes="train", val_fraction=0)
    starts = np.array(places(value(parser, "train#data")))
    assert 0 < len(starts) < len(value(parser, "patches"))
    assert ((starts < 20).all(axis=1) & (starts + 16 > 20).any(axis=1)).all()


def test_folds_part_the_patches(folder, tmp_path):
    validated = [
        places(value(parse(folder, tmp_path, n_folds=3, fold=fold, max_val_steps_per_epoch=999), "validate#data"))
        for fold in range(3)
    ]
    assert all(validated)
    assert len({start for part in validated for start in part}) == sum(map(len, validated))


def test_min_ratios_reach_the_search(folder, tmp_path):
    few = value(parse(folder, tmp_path, min_ratios={"organ": 0.51}), "patches")
    assert 0 < len(few) < len(value(parse(folder, tmp_path), "patches"))


@pytest.mark.long
def test_normalization_reaches_the_image_and_the_network_file(folder, tmp_path):
    stretched = parse(folder, tmp_path, normalization="min_max")
    image = value(stretched, "train#preprocessing")(value(stretched, "train#data")[0])["image"]
    assert -1 <= float(image.min()) < float(image.max()) <= 2  # 0 to 1, then noise and brightness
    overlay = write_overlay(
        tmp_path / "ct.json",
        targets={"organ": {"channels": 3}},
        volumes={"_target_": "scripts.patches.read_datalist", "path": f"{folder}/datalist.json", "targets": "@targets"},
        patch_size=[16, 16, 16], features_per_stage=[8, 8], n_blocks_per_stage=[1, 1], max_epochs=1,
        max_steps_per_epoch=1, max_val_steps_per_epoch=1, normalization="ct", nonfinite="error", chunk_cache=10**7,
        output_dir=str(tmp_path), ckpt_dir=str(tmp_path), split_guard=0, device="cpu",
    )  # fmt: skip
    run("training", configs=["configs/train.json", overlay])
    network = json.loads((tmp_path / "network.json").read_text())
    assert network["normalization"] == "ct"
    assert network["foreground_statistics"]["mean"][0] > 1000
    output = tmp_path / "prediction.zarr"
    settings = ["--input", f"{folder}/image.zarr", "--output", output, "--weights", tmp_path / "model.pt"]
    run("inference", *settings, configs=["configs/inference.json", tmp_path / "network.json"])
    assert (output / "organ").is_dir()
