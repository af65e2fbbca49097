"""Objects from predictions by configs/process.json, as a user runs it."""

import json
import re

import numpy as np
import pytest
from monai.bundle import ConfigParser
from scipy import ndimage, spatial
from skimage import measure
from tests.bundle.running import BUNDLE, folders, options, read_history, run, write_overlay

from scripts.blockwise import DaskWorkers, Threads
from scripts.metrics import variation_of_information
from scripts.segmentation import BlockSegmentation
from scripts.volumes import create_ome_zarr, open_volume

PAGE = (BUNDLE / "docs" / "process.md").read_text()


@pytest.fixture(scope="module")
def prediction(tmp_path_factory):
    """Blobs, as a network's probability is written: uint8 x 255."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).random((40, 44, 48)), 1)
    values = (255 * (noise - noise.min()) / (noise.max() - noise.min())).astype(np.uint8)[None]
    path = tmp_path_factory.mktemp("p") / "prediction.zarr"
    attributes = {"polytome": {"scale": 1 / 255, "offset": 0.0}}
    writer = create_ome_zarr(path, values.shape, "uint8", spacing=(2, 1, 1), unit="um", attributes=attributes)
    writer.write((0, 0, 0), values)
    return path


def read(path):
    volume = open_volume(path)
    return volume.read((0, 0, 0), volume.spatial_shape)[0]


def objects(prediction, above):
    return measure.label(read(prediction) / 255 > above, connectivity=1).max()


@pytest.mark.parametrize("ids", [["processing"], []], ids=["by name", "without"])
def test_both_ways_of_starting(prediction, tmp_path, ids):
    settings = options(input=prediction, output=tmp_path / "out", block_size="[16,16,16]", chunk_size=16)
    run(*ids, *settings, configs=["configs/process.json"])
    assert read(tmp_path / "out.zarr" / "objects").max() == objects(prediction, 0.5) > 10
    assert json.loads((tmp_path / "out.json").read_text())["blocks"] == 27


@pytest.mark.long
def test_an_overlay_chooses_how_and_the_command_line_filters(prediction, tmp_path):
    segmenter = {"_target_": "scripts.segmentation.Components", "source": "foreground", "above": 0.7}
    overlay = write_overlay(tmp_path / "overlay.json", segmenter=segmenter)
    settings = options(input=prediction, output=tmp_path / "out", largest=3, n_workers=2)
    run("processing", *settings, configs=["configs/process.json", overlay])
    assert read(tmp_path / "out.zarr" / "objects").max() == 3 < objects(prediction, 0.7)


def bound(**changes):
    parser = ConfigParser()
    parser.read_config(BUNDLE / "configs" / "process.json")
    for key, value in changes.items():
        parser[key] = value
    return parser


def made(parser, prediction, folder):
    return parser.get_parsed_content("segmentation")({"foreground": prediction}, output=folder / "o")


def test_every_setting_reaches_the_segmentation(prediction, tmp_path):
    changes = {
        "min_size": 3, "max_size": 9, "physical_sizes": True, "largest": 2, "drop_border": True,
        "block_size": [32, 64, 32], "chunk_size": 32, "levels": 1, "ome_version": "0.4", "scratch": str(tmp_path / "s"),
        "resume": False, "overwrite": True, "threads": 3,
    }  # fmt: skip
    segmentation = made(bound(**changes), prediction, tmp_path)
    assert isinstance(segmentation, BlockSegmentation)
    assert segmentation.filters == {key: changes[key] for key in list(changes)[:5]}
    assert segmentation.grid.block_size == (32, 64, 32)
    assert (segmentation.levels, segmentation.ome_version) == (1, "0.4")
    assert (segmentation.resume, segmentation.overwrite) == (False, True)
    assert segmentation.group.folder.path.startswith(str(tmp_path / "s"))
    assert segmentation.workers == Threads(3)


def test_memory_and_workers_are_chosen_by_the_config(prediction, tmp_path):
    small = bound(memory_limit=2 * 64 * 16**3, chunk_size=8)
    assert made(small, prediction, tmp_path).grid.block_size == (16, 16, 16)
    dask = bound(cluster="tcp://host:1", n_workers=2)
    assert dask.get_parsed_content("workers") == DaskWorkers("tcp://host:1", 2, 2)


@pytest.mark.parametrize("example", re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
def test_examples_of_the_page_bind(example, prediction, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    overlay = json.loads(example)
    (tmp_path / "my_code.py").write_text(
        "def find_vessels(arrays, spacing):\n    return arrays['foreground'][0] > 0.5\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name, path in overlay.get("inputs", {}).items():
        if not path.startswith("@"):
            seeds, values = np.arange(40 * 44 * 48, dtype=np.uint16) % 7, read(prediction).astype(np.float32) / 255
            data = seeds.reshape(1, 40, 44, 48) if name == "seeds" else values[None]
            create_ome_zarr(path, data.shape, data.dtype, spacing=(2, 1, 1)).write((0, 0, 0), data)
    parser = bound(input=str(prediction), output=str(tmp_path / "out"), **overlay)
    (path,) = parser.get_parsed_content("run")
    assert path == [str(tmp_path / "out")]


def test_fields_stand_for_every_prediction_that_fits(prediction, tmp_path):
    for name in ("scan1.zarr/nuclei", "scan1.zarr/cells", "scan2.zarr/nuclei", "scan2.zarr/border"):
        (tmp_path / "predictions" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "predictions" / name).symlink_to(prediction)
    page = next(block for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) if "--keep" in block)
    given = dict(re.findall(r'--(input|output|keep) "(.*?)"', page))
    paths = {key: tmp_path / given[key] for key in ("input", "output")}
    run("processing", *options(**paths, keep=given["keep"]), configs=["configs/process.json"])
    written = sorted(path.name for path in (tmp_path / "objects").glob("*.zarr"))
    assert written == ["scan1_cells.zarr", "scan1_nuclei.zarr", "scan2_nuclei.zarr"]
    for name in written:
        assert read(tmp_path / "objects" / name / "objects").max() == objects(prediction, 0.5)


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Cells that touch, with a bright wall between them: image and ids."""
    folder = tmp_path_factory.mktemp("cells")
    shape, rng = (40, 48, 48), np.random.default_rng(3)
    seeds = rng.uniform(0, 1, (40, 3)) * shape
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    ids = spatial.cKDTree(seeds).query(places)[1] + 1
    wall = np.zeros(shape)
    for axis in range(3):
        wall += np.abs(np.diff(ids, axis=axis, append=np.take(ids, [-1], axis))) > 0
    image = 100 * (wall > 0) + rng.normal(50, 15, shape)
    for name, values in (("image", image.clip(0, 255).astype(np.uint8)), ("cells", ids.astype(np.uint8))):
        create_ome_zarr(folder / f"{name}.zarr", (1, *shape), "uint8", spacing=(1, 1, 1)).write((0, 0, 0), values[None])
    return folder


@pytest.mark.long
def test_affinities_from_training_to_objects(cells, tmp_path):
    """Three foregrounds in one target: is the next voxel along z, y, x of the same cell?"""
    overlay = write_overlay(
        tmp_path / "affinities.json",
        targets={"affinities": {"channels": 3, "activation": "sigmoid", "source": "cells"}},
        derive=[{"_target_": "scripts.transforms.LabelToAffinitiesd", "keys": "cells", "output_keys": "affinities"}],
        volumes=[{"image": str(cells / "image.zarr"), "cells": str(cells / "cells.zarr")}],
        patch_size=[16, 16, 16], features_per_stage=[8, 16], n_blocks_per_stage=[1, 1], learning_rate=0.01,
        max_epochs=1, max_steps_per_epoch=60, max_val_steps_per_epoch=2, device="cpu",
        random_space=None, augment=[], **folders(tmp_path),
    )  # fmt: skip
    run("training", configs=["configs/train.json", overlay])
    (epoch,) = read_history(tmp_path)
    assert {f"val_affinities_dice_channel{axis}" for axis in range(3)} <= set(epoch)
    paths = options(input=cells / "image.zarr", output=tmp_path / "p", weights=tmp_path / "models" / "model.pt")
    run("inference", *paths, configs=["configs/inference.json", tmp_path / "output" / "network.json"])
    found = open_volume(tmp_path / "p.zarr" / "affinities")
    assert (found.channels, found.dtype) == (3, np.uint8)
    overlay = write_overlay(
        tmp_path / "objects.json",
        inputs={"affinities": str(tmp_path / "p.zarr" / "affinities")},
        segmenter={
            "_target_": "scripts.segmentation.Agglomerated", "affinities": "affinities",
            "offsets": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "thresholds": [0.5], "halo_length": 8, "min_distance": 2,
        },
    )  # fmt: skip
    run("processing", *options(output=tmp_path / "objects"), configs=["configs/process.json", overlay])
    truth = read(cells / "cells.zarr")
    score = sum(variation_of_information(read(tmp_path / "objects.zarr" / "objects"), truth))
    together = sum(variation_of_information(np.ones_like(truth), truth))
    print(f"VOI {score:.3f}; everything one cell {together:.3f}")
    assert score < 0.5 * together
