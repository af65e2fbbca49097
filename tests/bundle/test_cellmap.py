"""CellMap's crops from the tree to a scored submission, by the command lines of docs/cellmap.md."""

import csv
import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from skimage import measure
from tests.bundle.prepared_python import prepared_python
from tests.bundle.running import BUNDLE, SHOWN_CHARACTERS, write_overlay
from tests.cellmap_tree import N_CLASSES, is_inside, raw_value, write_tree

from scripts.metrics import cellmap_class_score, cellmap_instance_counts
from scripts.volumes import open_volume
from scripts.workflows import check_training
from scripts.workflows.datasplit import datasplit
from scripts.workflows.submissions.submission import read_submission

CONFIGS = [BUNDLE / "configs" / name for name in ("train.json", "cellmap.json")]
PAGE = (BUNDLE / "docs" / "cellmap.md").read_text()
COMMANDS = re.findall(r"^```bash\n(.*?)^```", PAGE, re.M | re.S)

SMALL = {
    "input_array_info": {"shape": [16, 16, 16], "scale": [8.0, 8.0, 8.0]},
    "features_per_stage": [8, 8],
    "n_blocks_per_stage": [1, 1],
    "max_epochs": 1,
    "max_steps_per_epoch": 4,
    "device": "cpu",
}


def shell(line, folder):
    """Run a command line in a folder that looks like the bundle, with this Python."""
    done = subprocess.run(
        ["bash", "-e", "-c", f'python() {{ "{prepared_python()}" "$@"; }}\n{line}'],
        cwd=folder, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.fail(f"{line}\nended with {done.returncode}:\n{done.stdout[-SHOWN_CHARACTERS:]}")


@pytest.fixture(scope="module")
def worked(tmp_path_factory):
    """Folder in which every command of the page was run, on a small tree, with a small network."""
    folder = tmp_path_factory.mktemp("cellmap")
    for name in ("configs", "scripts"):
        (folder / name).symlink_to(BUNDLE / name)
    write_tree(folder / "data")
    (settings,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.M | re.S)
    write_overlay(folder / "my_cellmap.json", **{**json.loads(settings), **SMALL})
    for line in COMMANDS:
        shell(line, folder)
    return folder


def voxels(path):
    volume = open_volume(path)
    return volume.read((0, 0, 0), volume.spatial_shape)[0]


def read_scores(folder):
    """Rows of an evaluation's summary, by class."""
    with (folder / "summary.csv").open(newline="") as file:
        return {row["class"]: row for row in csv.DictReader(file)}


def same_objects(a, b):
    """Whether two labellings differ by the numbers alone."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(pairs[0]) == len(np.unique(pairs[0])) == len(np.unique(pairs[1]))


def test_the_page_shows_every_step():
    steps = ["datasplit", "run training", "run inference", "run processing", "scripts pack"]
    assert [step in line for step, line in zip(steps, COMMANDS, strict=True)] == [True] * 5
    assert "scripts evaluate" in COMMANDS[-1]


@pytest.mark.long
def test_the_crop_is_predicted_where_it_lies(worked):
    assert sorted(path.name for path in (worked / "output" / "predictions").glob("*/*.zarr")) == ["crop1.zarr"]
    for name in ("nuc", "cell"):
        prediction = open_volume(worked / "output" / "predictions" / "jrc_fine" / "crop1.zarr" / name)
        assert prediction.spatial_shape == (12, 12, 12)
        assert (prediction.spacing, prediction.translation) == ((8, 8, 8), (80, 80, 80))


@pytest.mark.long
def test_the_submission_holds_the_objects(worked):
    with read_submission(worked / "submission.zip") as submission:
        found = {label.label: label for label in submission}
        assert sorted(found) == ["cell", "nuc"]
        for name, label in found.items():
            prediction = voxels(worked / "output" / "predictions" / "jrc_fine" / "crop1.zarr" / name)
            assert prediction.min() < prediction.max()
            assert same_objects(label.array[:], measure.label(prediction / 255 > 0.5, connectivity=1))
            assert (label.crop, label.voxel_size, label.translation) == ("crop1", (8, 8, 8), (80, 80, 80))


@pytest.mark.long
def test_the_submission_was_scored(worked):
    """By hand: of each voxel of the submission, 8 voxels of the truth, in which each class is one ball."""
    scores = read_scores(worked / "evaluation")
    with read_submission(worked / "submission.zip") as submission:
        for label in submission:
            ids = np.kron(label.array[:], np.ones((2, 2, 2), int))
            truth = voxels(f"{worked}/data/jrc_fine.zarr/recon-1/labels/groundtruth/crop1/{label.label}")
            counts = cellmap_instance_counts(ids, truth, (4.0, 4.0, 4.0))
            expected = cellmap_class_score(counts)["score"]
            assert float(scores[label.label]["cellmap"]) == pytest.approx(expected)
    assert (worked / "evaluation" / "report.html").is_file()


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A tree, the list of its crops, and a class hierarchy."""
    folder = write_tree(tmp_path_factory.mktemp("tree"))
    datasplit(["nuc", "cell"], search_path=str(folder), csv_path=folder / "datasplit.csv", validation_prob=0.34)
    (folder / "classes.csv").write_text(N_CLASSES)
    return folder


def bound(tree, output, **changes):
    parser = ConfigParser()
    parser.read_config(CONFIGS)
    common = {"classes": ["nuc", "cell"], "datasplit_path": str(tree / "datasplit.csv"), "output_dir": str(output)}
    for key, value in {**SMALL, **common, **changes}.items():
        parser[key] = value
    return parser


def labels(volumes):
    """Crop -> classes that are read there, and where the crop goes."""
    return {
        Path(next(row[key] for key in ("nuc", "cell", "ecs", "nucleolus") if key in row)).parent.name: (
            sorted(set(row) & {"nuc", "cell", "ecs", "nucleolus"}), row["split"],
        )
        for row in volumes
    }  # fmt: skip


LISTED = {"crop1": (["cell", "nuc"], "train"), "crop2": (["nuc"], "train"), "crop10": (["cell"], "val")}


def test_each_class_is_a_target_read_at_one_voxel_size(tree, tmp_path):
    parser = bound(tree, tmp_path)
    check_training(parser)
    row = {"channels": 1, "class_weights": "balanced"}
    assert parser.get_parsed_content("targets") == {"nuc": row, "cell": row}
    volumes = parser.get_parsed_content("volumes")
    assert labels(volumes) == LISTED
    assert {tuple(row["spacing"]) for row in volumes} == {(8, 8, 8)}
    dataset = parser.get_parsed_content("train#dataset")
    assert {tuple(datum["size"]) for datum in dataset.data} == {(16, 16, 16)}
    # from 0 to 1 by the type, and no augmentation in between
    image = parser.get_parsed_content("validate#dataset")[0]["image"]
    assert image.shape == (1, 16, 16, 16)
    assert 0 < image.min() < image.max() < 0.6  # 0.6 x 8 x 40 nm = 192 of 255 at the far corner


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"filter_by_scale": True}, {key: LISTED[key] for key in ("crop1", "crop2")}),
        ({"filter_by_scale": 4.0}, {"crop1": LISTED["crop1"]}),
        ({"filter_by_scale": [16.0, 8.0, 8.0]}, {key: LISTED[key] for key in ("crop1", "crop2")}),
        ({"force_all_classes": "train"}, {key: LISTED[key] for key in ("crop1", "crop10")}),
        ({"classes": ["cell"]}, {"crop1": (["cell"], "train"), "crop10": LISTED["crop10"]}),
        ({"input_array_info": {"shape": [16] * 3, "scale": [4.0] * 3}, "filter_by_scale": True},
         {"crop1": LISTED["crop1"]}),
    ],
)  # fmt: skip
def test_options_choose_among_listed_crops(tree, tmp_path, changes, expected):
    assert labels(bound(tree, tmp_path, **changes).get_parsed_content("volumes")) == expected


def test_crops_are_found_without_a_list(tree, tmp_path):
    common = {"datasplit_path": "missing.csv", "search_path": str(tree), "classes": ["nuc", "ecs"]}
    everywhere = bound(tree, tmp_path, **common, validation_prob=0.999).get_parsed_content("volumes")
    assert {crop: names for crop, (names, _) in labels(everywhere).items()} == {
        "crop1": ["nuc"],
        "crop2": ["ecs", "nuc"],
    }
    complete = bound(tree, tmp_path, **common, force_all_classes=True).get_parsed_content("volumes")
    assert labels(complete) == {"crop2": (["ecs", "nuc"], "train")}
    splits = {
        seed: labels(bound(tree, tmp_path, **common, random_seed=seed).get_parsed_content("volumes"))["crop1"][1]
        for seed in range(8)
    }
    assert set(splits.values()) == {"train", "val"}


def sample(tree, output, **changes):
    """A patch of crop2, in which nucleolus and ecs are annotated, nuc and cell are not asked for."""
    csv = output / "one.csv"
    store = f"{tree}/jrc_fine.zarr"
    csv.write_text(
        f'"train","{store}","recon-1/em/fibsem-uint8","{store}","recon-1/labels/groundtruth/crop2/[nucleolus,ecs]"\n'
    )
    parser = bound(
        tree, output, classes=["nucleolus", "ecs", "cell"], datasplit_path=str(csv), val_fraction=0.0,
        random_space=None, augment=[], jitter=0, **changes,
    )  # fmt: skip
    return parser, parser.get_parsed_content("train#dataset")[0]


def test_the_hierarchy_fills_what_nobody_annotated(tree, tmp_path):
    """Of a cell that has no label: a nucleolus is a part of it; with exclusion, what is outside is not."""
    for exclusive in (False, True):
        _, patch = sample(tree, tmp_path, class_hierarchy=str(tree / "classes.csv"), use_mutual_exclusion=exclusive)
        nucleolus, ecs, cell = (patch[name].numpy() for name in ("nucleolus", "ecs", "cell"))
        assert (nucleolus == 1).any()
        assert (ecs == 1).any()
        expected = np.where(nucleolus == 1, 1, np.where((ecs == 1) & exclusive, 0, -1))
        np.testing.assert_array_equal(cell, expected)
    _, patch = sample(tree, tmp_path)
    assert (patch["cell"].numpy() == -1).all()


def test_without_a_hierarchy_all_classes_exclude_each_other(tree, tmp_path):
    for exclusive in (False, True):
        parser, patch = sample(tree, tmp_path, use_mutual_exclusion=exclusive)
        batch = {key: patch[key][None] for key in ("image", "nucleolus", "ecs", "cell")}
        _, made = parser.get_parsed_content("prepare_batch")(batch)
        present = (patch["nucleolus"] == 1) | (patch["ecs"] == 1)
        np.testing.assert_array_equal(made["cell"][0], np.where(present & exclusive, 0, -1))


def test_keys_that_the_page_names_exist():
    parser = ConfigParser()
    parser.read_config(CONFIGS)
    (table,) = re.findall(r"^\| Toolbox \| Here \| Remark \|\n\|[-|]+\n(.*?)\n\n", PAGE, re.M | re.S)
    for line in table.splitlines():
        keys = re.findall(r"`(\w+)`", line.split(" | ")[1])
        assert keys, line
        assert [key for key in keys if key not in parser] == []


def test_patches_are_drawn_by_class_and_losses_weighed(tree, tmp_path):
    parser = bound(tree, tmp_path)
    counts = parser.get_parsed_content("chosen")["counts"]
    assert counts.names == ["nuc", "cell"]
    assert (counts.counts >= -1).all()
    assert (counts.counts == -1).any()  # crop2 says nothing about cells
    plain = bound(tree, tmp_path, class_target={"channels": 1, "loss": "bce"}, sampler="uniform")
    assert plain.get_parsed_content("chosen")["counts"] is None
    logits, truth = ({name: torch.full((1, 1, 4, 4, 4), value) for name in ("nuc", "cell")} for value in (0.5, 1.0))
    expected = 2 * np.log1p(np.exp(-0.5))  # binary cross-entropy of both classes, without weights and Dice
    assert float(plain.get_parsed_content("loss")(logits, truth)) == pytest.approx(expected, rel=1e-5)
    assert float(parser.get_parsed_content("loss")(logits, truth)) > expected


def test_crops_of_a_manifest_are_predicted_at_the_asked_voxel_size(tree, tmp_path):
    lines = ["crop_name,dataset,class_label,voxel_size,translation,shape"]
    lines += [f"{number},jrc_{where},nuc,[8;8;8],[80;80;80],[8;8;8]" for number, where in ((7, "fine"), (8, "coarse"))]
    (tmp_path / "crops.csv").write_text("\n".join(lines))
    for chosen, expected in (({}, ["jrc_fine/crop7", "jrc_coarse/crop8"]), ({"crops": 8}, ["jrc_coarse/crop8"]),
                             ({"datasets": "*fine"}, ["jrc_fine/crop7"])):  # fmt: skip
        parser = ConfigParser()
        parser.read_config([BUNDLE / "configs" / name for name in ("inference.json", "cellmap_inference.json")])
        changes = {"search_path": str(tree), "manifest": str(tmp_path / "crops.csv"), "spacing": [16.0] * 3, **chosen}
        for key, value in changes.items():
            parser[key] = value
        samples = list(parser.get_parsed_content("dataset"))
        assert [sample["image"].name for sample in samples] == expected
        assert {sample["image"].spacing for sample in samples} == {(16, 16, 16)}


def test_a_flat_patch_trains(tree, tmp_path):
    """As the page says it: slices along z, turned within them."""
    (turned,) = re.findall(r'`("random_space#in_plane": true)`', PAGE)
    parser = bound(
        tree, tmp_path, input_array_info={"shape": [1, 16, 16], "scale": [8.0] * 3}, **json.loads(f"{{{turned}}}")
    )
    check_training(parser)
    batch = next(iter(parser.get_parsed_content("train#dataloader")))
    assert batch["nuc"].shape == (2, 1, 1, 16, 16)
    predicted = parser.get_parsed_content("network")(batch["image"].as_tensor())
    assert predicted["cell"].shape == (2, 1, 1, 16, 16)


def at_voxels(array):
    """Positions z, y, x in nm of a patch's voxels, by its affine."""
    index = np.stack(np.meshgrid(*map(np.arange, array.shape[1:]), indexing="ij"))
    affine = array.affine.numpy()
    return np.einsum("ab,b...->a...", affine[:3, :3], index) + affine[:3, 3].reshape(3, 1, 1, 1)


@pytest.mark.parametrize(
    ("shape", "scale"), [((16, 16, 16), 4.0), ((4, 4, 4), 16.0)], ids=["finer targets", "coarser targets"]
)
def test_targets_can_have_another_grid_than_the_input(tree, tmp_path, shape, scale):
    """Truth is stored at 4 nm; the network sees 16 voxels of 8 nm, and is compared with a part of them."""
    parser = bound(
        tree, tmp_path, target_array_info={"shape": list(shape), "scale": [scale] * 3}, max_val_steps_per_epoch=1,
        ckpt_dir=str(tmp_path / "models"), max_steps_per_epoch=1,
    )  # fmt: skip
    check_training(parser)
    dataset = parser.get_parsed_content("train#dataset")
    plain = parser.get_parsed_content("load"), parser.get_parsed_content("regrid")
    number = next(n for n, datum in enumerate(dataset.data) if "crop1/" in str(datum.get("nuc", "")))
    patch = plain[1](plain[0](dataset.data[number]))
    assert (patch["image"].shape, patch["nuc"].shape) == ((1, 16, 16, 16), (1, *shape))
    assert np.allclose(at_voxels(patch["image"]).mean((1, 2, 3)), at_voxels(patch["nuc"]).mean((1, 2, 3)))
    # away from the volume's border, where voxels between centres continue it
    inner = (slice(None), *[slice(4, -4)] * 3)
    assert np.abs(patch["image"].numpy() - raw_value(*at_voxels(patch["image"])))[inner].max() <= 1
    truth, known = is_inside("nuc", *at_voxels(patch["nuc"])), patch["nuc"].numpy()[0] >= 0
    assert known.any()
    agree = (patch["nuc"].numpy()[0] == truth)[known].mean()
    assert agree == 1 if scale == 4 else agree > 0.9  # a large voxel is what most of it is, not its centre
    assert set(np.unique(truth[known])) == {False, True}
    # the network keeps its grid, the loss sees the targets'
    parser.get_parsed_content("train#trainer").run()
    (epoch,) = csv.DictReader((tmp_path / "history.csv").read_text().splitlines())
    assert np.isfinite(float(epoch["train_total"]))
    assert 0 <= float(epoch["val_cell_dice"]) <= 1
    assert parser.get_parsed_content("network").plan.patch_size == (16, 16, 16)
    assert list((tmp_path / "previews").glob("*.png"))
