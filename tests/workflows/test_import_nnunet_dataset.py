"""From nnU-Net's raw folder to a training and to label maps in its naming."""

import json

import nibabel
import numpy as np
import pytest
from monai.bundle import ConfigParser
from tests.bundle.running import BUNDLE, run

from scripts.geometry import target_faults
from scripts.workflows.components import component_faults
from scripts.workflows.import_nnunet_dataset import import_nnunet_dataset, target_spacing

PLAIN = {"background": 0, "inner": 1, "outer": 2}
REGIONS = {"background": 0, "whole": [1, 2], "inner": [1], "ignore": 3}


def write_dataset(folder, spacings, labels=PLAIN, channels=("T1",), shape=(20, 24, 28), **content):
    """Nested balls, brighter inside; x y z files with an affine that mirrors and shifts."""
    ends = {"channel_names": {str(n): name for n, name in enumerate(channels)}, "labels": labels}
    (folder / "imagesTs").mkdir(parents=True)
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir()
    rng = np.random.default_rng(0)
    for case, spacing in enumerate(spacings):
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"))  # x y z
        middle = np.array([n / 2 for n in shape]) + rng.uniform(-2, 2, 3)
        radius = np.sqrt((((grid.T - middle) * spacing) ** 2).sum(axis=-1)).T
        label = np.where(radius < 5, 1, np.where(radius < 9, 2, 0)).astype(np.uint8)
        affine = np.diag([-spacing[0], spacing[1], spacing[2], 1.0])
        affine[:3, 3] = 10, -20, 30
        parts = ("imagesTs", None) if case == len(spacings) - 1 else ("imagesTr", "labelsTr")
        for channel in range(len(channels)):
            image = (label * (50.0 if channel == 0 else -30.0) + rng.normal(0, 5, shape)).astype(np.float32)
            nibabel.save(nibabel.Nifti1Image(image, affine), folder / parts[0] / f"case{case}_{channel:04d}.nii.gz")
        truth = nibabel.Nifti1Image(label, affine)
        nibabel.save(truth, folder / (parts[1] or "") / f"case{case}.nii.gz")
    (folder / "dataset.json").write_text(json.dumps({**ends, "file_ending": ".nii.gz", **content}))
    return folder


def settings(folder, **options):
    """What the verb says, and both overlays."""
    said = import_nnunet_dataset(folder, output=folder / "my.json", **options)
    return said, *(json.loads((folder / name).read_text()) for name in ("my.json", "my_inference.json"))


def test_a_dataset_becomes_settings_that_bind(tmp_path):
    folder = write_dataset(tmp_path / "Dataset001_Balls", [(1, 1, 1)] * 7)
    said, training, inference = settings(folder)
    assert "6 training cases, channels T1, classes background, inner, outer" in said
    assert training["targets"] == {"segmentation": {"channels": 3}}
    assert training["normalization"] == "zscore_volume"
    assert (training["in_channels"], training["fold"], training["patch_size"]) == (1, 0, [28, 24, 20])
    assert (inference["input_spacing"], inference["class_output"]) == (None, "argmax")
    parser = ConfigParser()
    parser.read_config([BUNDLE / "configs" / "train.json", folder / "my.json"])
    assert component_faults(parser) == []
    assert target_faults(parser["targets"]) == []
    rows = parser.get_parsed_content("volumes")
    assert len(rows) == 6
    assert sum(row["split"] == "val" for row in rows) == 2  # six cases in five folds


def test_channels_regions_and_spacing_become_settings(tmp_path):
    channels = ("CT", "CT")
    folder = write_dataset(
        tmp_path / "d", [(1, 1, 1), (1, 1, 2), (1, 1, 2), (1, 1, 3)], REGIONS, channels, regions_class_order=[2, 1]
    )
    said, training, inference = settings(folder, fold=None)
    assert "regions whole, inner; unknown is 3" in said
    assert "spacing z y x: [2.0, 1.0, 1.0], to which all cases are resampled" in said
    assert training["targets"] == {"segmentation": {"channels": 2, "activation": "sigmoid", "source": "labels"}}
    assert training["derive"][0]["regions"] == [[1, 2], [1]]
    assert training["derive"][0]["ignore_label"] == 3
    assert (training["normalization"], training["in_channels"]) == ("ct", 2)
    assert training["volumes"]["spacing"] == [2.0, 1.0, 1.0]
    assert "fold" not in training["volumes"]
    assert inference["input_data"]["n_channels"] == 2
    assert (inference["input_spacing"], inference["class_output"]) == ([2.0, 1.0, 1.0], "probabilities")
    assert inference["write_labels"]["region_order"] == [2, 1]


def test_channels_of_different_kinds_are_told(tmp_path):
    said, training, _ = settings(write_dataset(tmp_path / "d", [(1, 1, 1)] * 3, channels=("CT", "PET")))
    assert training["normalization"] == "zscore_volume"
    assert "nnU-Net would normalise the channels differently (ct, zscore_volume)" in said


def test_the_ignored_label_of_plain_classes(tmp_path):
    _, training, _ = settings(write_dataset(tmp_path / "d", [(1, 1, 1)] * 3, {**PLAIN, "ignore": 3}))
    assert training["targets"] == {"segmentation": {"channels": 3, "ignore_label": 3}}


@pytest.mark.parametrize(
    ("shape", "spacings", "expected"),
    [
        ((100, 100, 100), [(1, 1, 1), (2, 1, 1), (2, 2, 2)], [2, 1, 1]),
        # z is coarse, in length and in number: its 10th percentile
        ((20, 200, 200), [(4, 1, 1)] + [(5, 1, 1)] * 9 + [(6, 1, 1)], [5, 1, 1]),
        ((20, 200, 200), [(2, 1, 1)] * 3 + [(5, 1, 1)] * 8, [2, 1, 1]),
        # never finer than the other axes
        ((20, 200, 200), [(0.5, 1, 1)] * 3 + [(5, 1, 1)] * 8, [1, 1, 1]),
        # coarse in length alone
        ((200, 200, 200), [(2, 1, 1)] * 3 + [(5, 1, 1)] * 8, [5, 1, 1]),
    ],
)
def test_target_spacing_follows_nnunets_rule(shape, spacings, expected):
    assert target_spacing(np.array([shape] * len(spacings)), np.array(spacings, float)) == pytest.approx(expected)


def test_files_are_not_replaced_unasked_and_a_dry_run_writes_none(tmp_path, monkeypatch):
    folder = write_dataset(tmp_path / "Dataset001_Balls", [(1, 1, 1)] * 3)
    monkeypatch.chdir(tmp_path)
    said = import_nnunet_dataset(folder, dry_run=True)
    assert "not written, this was a dry run: Dataset001_Balls.json" in said
    assert [path.name for path in tmp_path.iterdir()] == ["Dataset001_Balls"]
    assert "written: Dataset001_Balls_inference.json" in import_nnunet_dataset(folder)
    (tmp_path / "Dataset001_Balls.json").unlink()
    with pytest.raises(FileExistsError, match=r"Dataset001_Balls_inference\.json exists"):
        import_nnunet_dataset(folder)
    import_nnunet_dataset(folder, overwrite=True)
    with pytest.raises(ValueError, match=r"expected a name that ends in \.json, got x\.yaml"):
        import_nnunet_dataset(folder, output="x.yaml")


@pytest.mark.parametrize("kind", ["classes", "regions"])
def test_from_a_raw_folder_to_label_maps(tmp_path, kind):
    """Cases of several spacings and two channels; the label map lies on the voxels of the file."""
    labels, order = (PLAIN, None) if kind == "classes" else (REGIONS, [2, 1])
    spacings = [(1, 1, 1), (1, 1, 2), (1, 1, 2), (1, 1, 1), (1, 1, 2), (1, 1, 1)]
    folder = write_dataset(tmp_path / "d", spacings, labels, ("T1", "T2"), regions_class_order=order)
    settings(folder)
    small = {
        "batch_size": 2, "features_per_stage": [8, 8], "n_blocks_per_stage": [1, 1], "strides": [[1] * 3, [2] * 3],
        "kernel_sizes": [[3] * 3] * 2, "max_epochs": 2, "max_steps_per_epoch": 20, "max_val_steps_per_epoch": 2,
        "patch_size": [16, 16, 16], "previews": False, "device": "cpu", "output_dir": tmp_path / "run",
        "ckpt_dir": tmp_path / "run",
    }  # fmt: skip
    words = [str(word) for key, value in small.items() for word in (f"--{key}", value)]
    run("training", *words, configs=["configs/train.json", folder / "my.json"])
    configs = ["configs/inference.json", tmp_path / "run" / "network.json", folder / "my_inference.json"]
    options = ["--weights", tmp_path / "run" / "model.pt", "--output_dir", tmp_path / "out"]
    run("inference", *options, "--predictions", tmp_path / "labels", configs=configs)
    found, truth = nibabel.load(tmp_path / "labels" / "case5.nii.gz"), nibabel.load(folder / "case5.nii.gz")
    assert found.get_data_dtype() == np.uint8
    np.testing.assert_allclose(found.affine, truth.affine)
    a, b = np.asarray(found.dataobj), np.asarray(truth.dataobj)
    assert a.shape == b.shape
    dice = [2 * ((a == n) & (b == n)).sum() / ((a == n).sum() + (b == n).sum()) for n in (1, 2)]
    print(kind, dice)
    assert min(dice) > 0.6
