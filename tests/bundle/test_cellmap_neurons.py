"""Membranes and neurons of real FIB-SEM crops, from CellMap's tree to scores."""

import csv

import numpy as np
import pytest
import tifffile
from monai.bundle import ConfigParser
from scipy import stats
from tests.bundle.running import BUNDLE, run, write_overlay
from tests.cellmap_tree import CropPlan, write_multiscale

from scripts.volumes import open_volume
from scripts.workflows.datasplit import datasplit
from scripts.workflows.evaluate import evaluate
from scripts.workflows.pack import pack

pytestmark = pytest.mark.long

CONFIGS = [BUNDLE / "configs" / name for name in ("train.json", "cellmap.json")]


def voxels(path):
    volume = open_volume(path)
    return volume.read((0, 0, 0), volume.spatial_shape)[0]


@pytest.fixture
def neurons(real_data, tmp_path):
    """Neurons in FIB-SEM as CellMap would store them: two datasets, crops at 10, 20 x 10 x 10 and 5 nm.

    What a cell's membrane is, is where neighbours have different ids; only that is annotated in the second crop. The
    fourth one neither trains nor validates, nor was anything chosen by it.
    """
    raw, bodies = (tifffile.imread(real_data / "em_fibsem" / f"medulla250_{name}.tif") for name in ("raw", "bodies"))
    membrane = np.zeros(bodies.shape, bool)
    for axis in range(3):
        differs = np.diff(bodies.astype(int), axis=axis) != 0
        for side in (slice(1, None), slice(None, -1)):
            membrane[(*[slice(None)] * axis, side)] |= differs
    arrays = {"pm": (membrane, "uint8"), "cell": (np.where(membrane, 0, bodies), "uint16")}

    def at(array):
        return lambda *position: array[tuple(np.rint(p / 10 - 0.01).astype(int) for p in position)]

    plans = [
        ("jrc_a", CropPlan("crop1", (10, 10, 10), (100, 200, 200), (80, 96, 96), ("cell", "pm"))),
        ("jrc_a", CropPlan("crop2", (20, 10, 10), (105, 1400, 1400), (40, 64, 64), ("pm",))),
        ("jrc_b", CropPlan("crop3", (5, 5, 5), (1777.5, 397.5, 1397.5), (96, 96, 96), ("cell", "pm"))),
        ("jrc_b", CropPlan("crop4", (10, 10, 10), (1600, 1500, 400), (56, 64, 64), ("cell", "pm"))),
    ]
    for dataset, first in (("jrc_a", 0), ("jrc_b", 1250)):
        image = tmp_path / "data" / f"{dataset}.zarr" / "recon-1" / "em" / "fibsem-uint8"
        write_multiscale(image, at(raw), (10, 10, 10), (first, 0, 0), (125, 250, 250), levels=1, chunk=64)
    for dataset, crop in plans:
        for name in crop.classes:
            path = tmp_path / "data" / f"{dataset}.zarr" / "recon-1/labels/groundtruth" / crop.name / name
            array, dtype = arrays[name]
            write_multiscale(
                path, at(array), crop.spacing, crop.translation, crop.shape, levels=1, dtype=dtype, chunk=32
            )
    return tmp_path


@pytest.mark.real_data
def test_membranes_and_neurons_of_a_crop_that_the_training_never_saw(neurons):
    data, table = str(neurons / "data"), neurons / "datasplit.csv"
    datasplit("cell,pm", search_path=data, csv_path=table, crops="crop1,crop2,crop3", validation_prob=0.3, seed=10)
    assert [line.split("/")[-2:] for line in table.read_text().split() if line.startswith('"val')] == [
        ["crop3", '[cell,pm]"']
    ]
    settings = write_overlay(
        neurons / "settings.json",
        classes=["cell", "pm"], use_mutual_exclusion=True, datasplit_path=str(table),
        input_array_info={"shape": [32, 32, 32], "scale": [10.0] * 3}, features_per_stage=[16, 32],
        n_blocks_per_stage=[1, 1], max_epochs=2, max_steps_per_epoch=30, max_val_steps_per_epoch=4,
        output_dir=str(neurons / "output"), ckpt_dir=str(neurons / "models"), device="cpu",
    )  # fmt: skip
    run("training", configs=[*CONFIGS, settings])
    run(
        *("inference", "--search_path", data, "--crops", "crop4", "--output_dir", neurons / "output"),
        *("--weights", neurons / "models" / "model.pt", "--device", "cpu"),
        configs=["configs/inference.json", neurons / "output" / "network.json", "configs/cellmap_inference.json"],
    )
    crop = neurons / "output" / "predictions" / "jrc_b" / "crop4.zarr"
    for name, above in (("cell", 0.95), ("pm", 0.5)):
        parser = ConfigParser()
        parser.read_config(BUNDLE / "configs" / "process.json")
        parser["segmenter#above"] = above
        segmentation = parser.get_parsed_content("segmentation")
        segmentation({"foreground": crop / name}, output=neurons / "processed" / "crop4" / name).run()
    pack(str(neurons / "processed" / "{crop}" / "{label}.zarr" / "objects"), neurons / "submission.zip")
    evaluate(
        str(neurons / "submission.zip"), data, metrics=["cellmap", "voi"], output=neurons / "evaluation",
        crops="crop4", classes="cell,pm",
    )  # fmt: skip
    with (neurons / "evaluation" / "summary.csv").open(newline="") as file:
        scores = {row["class"]: row for row in csv.DictReader(file)}
    found, pieces = float(scores["pm"]["cellmap"]), float(scores["cell"]["voi"])
    truth = {name: voxels(f"{data}/jrc_b.zarr/recon-1/labels/groundtruth/crop4/{name}") for name in ("cell", "pm")}
    everything = truth["pm"].mean()  # IoU of a mask without a hole
    together = stats.entropy(np.unique(truth["cell"][truth["cell"] > 0], return_counts=True)[1], base=2)
    print(f"membranes: IoU {everything:.3f} -> {found:.3f}; neurons: VOI of one object {together:.3f} -> {pieces:.3f}")
    assert found >= everything + 0.15
    assert pieces < together
