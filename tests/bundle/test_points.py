"""Training on a few annotated voxels, by the page's own settings and commands."""

import json
import re

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from tests.bundle.running import BUNDLE, command, folders, read_history, run, write_overlay

from scripts.volumes import create_ome_zarr, read_points

PAGE = (BUNDLE / "docs" / "embeddings.md").read_text()
SECTION = re.search(r"^## Points\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
SETTINGS = json.loads(re.search(r"^```json\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)[1])
COMMAND = re.search(r"^python -m (scripts points .*)$", SECTION, re.MULTILINE)[1]

SMALL = {
    "patch_size": [16, 16, 16], "features_per_stage": [8, 16], "n_blocks_per_stage": [1, 1],
    "batch_size": 4, "max_epochs": 2, "max_steps_per_epoch": 25, "max_val_steps_per_epoch": 4,
    "random_space#prob_elastic": 0.5,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Bright blobs in noise, 48 voxels along each axis."""
    blobs = gaussian_filter(np.random.default_rng(0).normal(size=(48, 48, 48)), 4)
    cells = (blobs > 0.7 * blobs.std()).astype(np.uint8)
    image = 100 * cells + np.random.default_rng(1).normal(60, 30, cells.shape)
    for name, array in (("scan", image.clip(0, 255).astype(np.uint8)), ("cells", cells)):
        writer = create_ome_zarr(
            tmp_path / f"{name}.zarr", (1, 48, 48, 48), "uint8", spacing=(1, 1, 1), chunks=(16,) * 3
        )
        writer.write((0, 0, 0), array[None])
    return tmp_path


def placed(folder, key, value):
    if key == "region":
        return [[0, 0, 0], [24, 48, 48]] if value[0][0] == 0 else [[24, 0, 0], [48, 48, 48]]
    return str(folder / value) if key != "split" else value


@pytest.mark.long
@pytest.mark.parametrize("on_device", [False, True], ids=["in workers", "on the device"])
def test_the_pages_settings_train_on_the_points_that_its_command_draws(folder, on_device):
    words = COMMAND.replace("[[0,0,0],[64,256,256]]", "[[0,0,0],[24,48,48]]").replace('"', "").split()
    command(*[str(folder / word) if word.endswith((".zarr", ".csv")) else word for word in words])
    points = read_points(folder / "points_64.csv", (24, 48, 48))
    assert sum(point.label for point in points) == 32
    volumes = [{key: placed(folder, key, value) for key, value in row.items()} for row in SETTINGS["volumes"]]
    settings = {**SETTINGS, **SMALL, "volumes": volumes, "augment_on_device": on_device, **folders(folder)}
    said = run("training", configs=["configs/train.json", write_overlay(folder / "points.json", **settings)])
    assert re.search(r"cell +4 1 16 16 16 +int32 +min -1 ", said)
    best = max(float(row["val_cell_dice"]) for row in read_history(folder))
    assert best > 0.7  # by chance about 0.35: a quarter of the voxels are cells
