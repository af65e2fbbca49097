"""Every Python block of docs/python.md, run as a script of its own in one folder, and what it prints."""

import csv
import json
import re
import shlex
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from tests.bundle.running import BUNDLE, command
from tests.cellmap_tree import is_inside, write_tree

from scripts.patches.nnunet_dataset import nnunet_folds
from scripts.volumes import open_volume

pytestmark = pytest.mark.long

PAGE = (BUNDLE / "docs" / "python.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
OWN = "A loss and a transform of your own"

RUN_BLOCK = """import contextlib, runpy, sys

with open(f"{sys.argv[1]}.txt", "w") as file, contextlib.redirect_stdout(file):
    runpy.run_path(f"{sys.argv[1]}.py", run_name="__main__")
"""
"""Keeps what a block prints apart from what libraries say."""


def blocks(section: str, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", SECTIONS[section], re.M | re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the scripts are run: with the data that the page says is there."""
    folder = tmp_path_factory.mktemp("python")
    write_tree(folder / "cellmap")
    write_nnunet_dataset(folder / "Dataset001_Cells")
    parts, _ = blocks(OWN)
    (folder / "my_parts.py").write_text(parts)
    (settings,) = blocks(OWN, "json")
    (folder / "my_settings.json").write_text(settings)
    (folder / "run_block.py").write_text(RUN_BLOCK)
    return folder


@pytest.fixture(scope="module")
def printed(folder: Path) -> dict[str, list[str]]:
    """Lines that each block has printed, by the heading above it; blocks are run in the order of the page."""
    lines = {}
    for number, section in enumerate(SECTIONS):
        script = blocks(section)[-1]
        (folder / f"block_{number}.py").write_text(script)
        command("run_block", f"block_{number}", cwd=folder)
        lines[section] = (folder / f"block_{number}.txt").read_text().splitlines()
        if section == OWN:
            (folder / "own").rename(folder / "own_from_python")
    return lines


def write_nnunet_dataset(folder: Path) -> None:
    """Five cases x y z of 16 x 16 x 12 voxels, in which a box of 11 x 9 x 8 is labelled, 2 above 1 along x."""
    label = np.zeros((16, 16, 12), np.uint8)
    label[2:13, 3:12, 2:10] = 1
    label[9:13, 3:12, 2:10] = 2
    for name, suffix, voxels in (("labelsTr", "", label), ("imagesTr", "_0000", label.astype(np.int16) * 50)):
        (folder / name).mkdir(parents=True)
        for case in range(5):
            nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / name / f"case_{case}{suffix}.nii.gz")
    settings = {
        "channel_names": {"0": "em"}, "labels": {"background": 0, "cytoplasm": 1, "nucleus": 2},
        "numTraining": 5, "file_ending": ".nii.gz",
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(settings))


def numbers(line: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", line)]


def test_each_section_has_one_script():
    assert {section: len(blocks(section)) for section in SECTIONS} == {name: 1 + (name == OWN) for name in SECTIONS}


def test_a_training_hands_over_its_network_and_its_scores(folder, printed):
    parameters, scores, last_row = printed["Train"]
    weights = torch.load(folder / "models" / "model.pt", weights_only=True)
    assert parameters == f"{sum(value.numel() for value in weights.values())} parameters"
    with (folder / "output" / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert last_row == ",".join(rows[-1].values())
    assert [(row["epoch"], row["iteration"]) for row in rows] == [("1", "5"), ("2", "10")]
    for name in ("sheet_dice", "normals_angle"):
        assert f"'{name}': {round(float(rows[-1][f'val_{name}']), 3)}" in scores


def test_a_prediction_is_read_back(folder, printed):
    geometry, components = printed["Predict"]
    assert geometry == "(1, 64, 64, 64) (8.0, 8.0, 8.0) um uint8"
    stored = open_volume(folder / "prediction.zarr" / "normals").read((32, 32, 32), (1, 1, 1)).ravel()
    np.testing.assert_allclose(numbers(components), stored / 127, atol=1e-6)  # int8
    assert np.linalg.norm(numbers(components)) == pytest.approx(1, abs=0.01)


def test_found_patches_are_loaded_into_batches(folder, printed):
    found, batch, spacing = printed["Patches alone"]
    volume = open_volume(folder / "data" / "phantom.zarr" / "sheet")
    label = volume.read((0, 0, 0), volume.spatial_shape)[0] > 0
    count, z, y, x = (int(number) for number in [numbers(found)[0], *numbers(found)[2:5]])
    first = label[z : z + 16, y : y + 16, x : x + 16]
    assert count > 4
    assert f"'labeled_ratio': {first.mean()}" in found
    sizes = numbers(batch)
    assert sizes[:5] == [4, 1, 16, 16, 16]
    assert sizes[5] == first.sum()
    assert spacing == "[8.0, 8.0, 8.0]"


def test_any_network_streams_over_a_volume_as_monai_has_it(printed):
    (line,) = printed["Stream any network over a volume"]
    assert line.startswith("density.zarr/density")
    assert numbers(line)[0] < 1e-5


def test_a_direction_follows_the_flip_and_the_turn(printed):
    """By hand: z changes its sign; the voxel at y, x goes to 15 - x, y, so that a step (y, x) becomes (-x, y)."""
    before, after = map(numbers, printed["Directions through flips and turns"])
    assert np.linalg.norm(before) == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(after, [-before[0], -before[2], before[1]], atol=0.01)


def test_the_bridge_joins_two_of_three_objects(printed):
    """By hand: of 3136 voxels of objects, 3072 are in the joined one, which costs a bit each; its IoU is below 1/2."""
    low, high, *table = printed["Objects, and how good they are"]
    assert low == f"above 0.5: 2 objects, split 0.000, merge {3072 / 3136:.3f} bits, F1 {2 * 1 / (2 * 1 + 1 + 2):.3f}"
    assert high == "above 0.7: 3 objects, split 0.000, merge 0.000 bits, F1 1.000"
    rows = [numbers(line.replace("*", "").split("above ")[1]) for line in table if "above" in line]
    assert rows == [[0.5, 1, 0.98, 0, 0.98, 0.4], [0.7, 1, 0, 0, 0, 1]]


def test_crops_are_read_at_one_voxel_size(printed):
    *crops, shares, position = printed["CellMap's crops"]
    assert sorted(crops) == [
        "train {'nuc': 'crop1', 'cell': 'crop1'}", "train {'nuc': 'crop2'}", "val {'cell': 'crop10'}"
    ]  # fmt: skip
    at = np.meshgrid(*[80 + 8 * np.arange(12)] * 3, indexing="ij")  # nm
    expected = [is_inside(name, *at).mean() for name in ("nuc", "cell")]
    # labels of 4 nm have no voxel at these places: their nearest one is 2 nm away along each axis
    np.testing.assert_allclose(numbers(shares), expected, atol=0.04)
    assert position == "first voxel at [80.0, 80.0, 80.0] nm"


def test_a_head_of_few_points_knows_them(folder, printed):
    right, count = numbers(printed["Embeddings, and a head from a few points"][-1])
    assert count == 32
    assert len((folder / "points.csv").read_text().splitlines()) == 1 + count
    assert right >= 26  # of guesses, 16


def test_landmarks_are_found_and_measured(printed):
    decoded, summary = printed["Landmarks"]
    assert numbers(decoded) == [0.0]
    values = dict(re.findall(r"'(\w+)': ([\d.]+)", summary))
    # the annotation was moved by a voxel, of 0.3 mm
    assert float(values["smha_mre"]) == pytest.approx(1, abs=0.01)
    assert float(values["smha_mre_mm"]) == pytest.approx(0.3, abs=0.003)


def test_a_dataset_of_nnunet_becomes_patches(printed):
    """By hand: the box of 8 x 9 x 11 voxels z y x holds 1 x 2 x 2 patches of 8, the last of which end with it."""
    described, sample = printed["A dataset of nnU-Net"]
    splits = ["val" if f"case_{n}" in nnunet_folds([f"case_{n}" for n in range(5)])[0] else "train" for n in range(5)]
    assert described == f"('em',) {{'background': 0, 'cytoplasm': 1, 'nucleus': 2}} {splits}"
    assert sample == f"{5 * 4} (1, 8, 8, 8) [1, 2]"


def test_own_parts_train_from_the_command_line_and_from_python(folder, printed):
    """By hand: probabilities of 1/2 and the known labels 1, 0, 1 make 1 - (1 + 1) / (1 + 0.8 x 1 + 0.2 x 0.5 + 1)."""
    assert printed[OWN] == ["TverskyLoss 0.8 RandStripesd", f"{1 - 2 / 2.9:.4f}"]
    (line,) = blocks(OWN, "bash")
    words = shlex.split(line.replace("$BUNDLE", str(BUNDLE)))
    assert words[:2] == ["python", "-m"]
    command(*words[2:], cwd=folder)
    ways = [torch.load(folder / name / "model.pt", weights_only=True) for name in ("own", "own_from_python")]
    assert all(torch.equal(ways[0][name], ways[1][name]) for name in ways[0])


def test_own_parts_take_few_lines():
    parts, _ = blocks(OWN)
    classes = re.findall(r"^class .*?(?=^class |\Z)", parts, re.M | re.S)
    assert [len([line for line in text.splitlines() if line.strip()]) for text in classes] == [8, 8]
