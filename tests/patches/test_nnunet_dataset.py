"""nnU-Net's folders as rows of `volumes`."""

import json

import pytest

from scripts.patches import nnunet_cases, open_nnunet_dataset, read_nnunet_dataset
from scripts.patches.nnunet_dataset import nnunet_folds

TARGETS = {"tumour": {"channels": 3}}
CONTENT = {
    "channel_names": {"0": "T1", "1": "FLAIR"},
    "labels": {"background": 0, "edema": 1, "core": 2},
    "file_ending": ".nii.gz",
}


def dataset(folder, cases=("a", "b", "c"), channels=2, **changes):
    """A dataset of empty files; only names are looked at."""
    content = {key: value for key, value in {**CONTENT, **changes}.items() if value is not None}
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for case in cases:
        for n in range(channels):
            (folder / "imagesTr" / f"{case}_{n:04d}.nii.gz").touch()
        (folder / "labelsTr" / f"{case}.nii.gz").touch()
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def test_rows_hold_channels_and_label_of_each_case(tmp_path):
    folder = dataset(tmp_path)
    (folder / "labelsTr" / ".hidden.nii.gz").touch()
    rows = read_nnunet_dataset(folder, TARGETS)
    assert rows == [
        {
            "image": [str(folder / "imagesTr" / f"{case}_000{n}.nii.gz") for n in (0, 1)],
            "tumour": str(folder / "labelsTr" / f"{case}.nii.gz"),
        }
        for case in "abc"
    ]
    one = read_nnunet_dataset(
        dataset(tmp_path / "x", channels=1, channel_names={"0": "CT"}), TARGETS, spacing=(3, 1, 1)
    )
    assert one[0]["image"] == str(tmp_path / "x" / "imagesTr" / "a_0000.nii.gz")
    assert one[0]["spacing"] == [3.0, 1.0, 1.0]


def test_folds_are_those_that_nnunet_makes():
    # scikit-learn 1.8: KFold(5, shuffle=True, random_state=12345) over c00 ... c12
    assert nnunet_folds([f"c{n:02d}" for n in range(13)]) == [
        ["c00", "c07", "c09"], ["c03", "c06", "c10"], ["c08", "c11", "c12"], ["c01", "c04"], ["c02", "c05"],
    ]  # fmt: skip


def test_a_fold_validates(tmp_path):
    folder = dataset(tmp_path, cases=[f"c{n:02d}" for n in range(13)])
    rows = read_nnunet_dataset(folder, TARGETS, fold=3)
    assert [n for n, row in enumerate(rows) if row["split"] == "val"] == [1, 4]
    splits = tmp_path / "splits_final.json"
    splits.write_text(json.dumps([{"train": ["c00"], "val": ["c05", "c01"]}]))
    rows = read_nnunet_dataset(folder, TARGETS, fold=0, splits=splits)
    assert [n for n, row in enumerate(rows) if row["split"] == "val"] == [1, 5]
    with pytest.raises(ValueError, match="fold must be one of 0 to 0; got 1"):
        read_nnunet_dataset(folder, TARGETS, fold=1, splits=splits)
    splits.write_text(json.dumps([{"val": ["zz"]}]))
    with pytest.raises(ValueError, match="there are no cases zz among the 13"):
        read_nnunet_dataset(folder, TARGETS, fold=0, splits=splits)


def test_files_may_be_listed_in_the_dataset(tmp_path):
    listed = {"q": {"images": ["../far/q_1.nii.gz", "q_2.nii.gz"], "label": "q_label.nii.gz"}}
    rows = read_nnunet_dataset(dataset(tmp_path, dataset=listed), TARGETS)
    assert rows == [
        {
            "image": [str(tmp_path / "../far/q_1.nii.gz"), str(tmp_path / "q_2.nii.gz")],
            "tumour": str(tmp_path / "q_label.nii.gz"),
        }
    ]


def test_regions_and_the_ignored_label(tmp_path):
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}
    found = open_nnunet_dataset(dataset(tmp_path, labels=labels, regions_class_order=[1, 2, 3]))
    assert found.regions == {"whole": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}
    assert found.ignore_label == 4
    plain = open_nnunet_dataset(dataset(tmp_path / "plain"))
    assert (plain.regions, plain.ignore_label, plain.channels) == ({}, None, ("T1", "FLAIR"))


def test_cases_of_a_folder_of_images(tmp_path):
    for name in ("b_0000", "b_0001", "a_1_0000", "a_1_0001", "note"):
        (tmp_path / f"{name}.nii.gz").touch()
    assert nnunet_cases(tmp_path, n_channels=2) == [
        {"name": case, "image": [str(tmp_path / f"{case}_000{n}.nii.gz") for n in (0, 1)]} for case in ("a_1", "b")
    ]
    (tmp_path / "b_0000.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"case b has channels \[1\]; expected 0 to 1"):
        nnunet_cases(tmp_path, n_channels=2)
    with pytest.raises(FileNotFoundError, match=r"holds no file CASE_0000\.png"):
        nnunet_cases(tmp_path, ending=".png")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file_ending": ".mha"}, "file_ending '.mha' is not read; expected one of .nii.gz"),
        ({"channel_names": None}, "lacks channel_names, which nnU-Net v2 writes$"),
        ({"channel_names": None, "modality": {"0": "MR"}}, "convert it to version 2 first"),
        ({"labels": {"background": 0, "a": [1, 2]}}, r"regions a need a regions_class_order of 1 classes; got \[\]"),
    ],
)
def test_what_is_no_dataset_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        open_nnunet_dataset(dataset(tmp_path, **changes))


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"dataset\.json does not exist; expected a raw dataset folder"):
        open_nnunet_dataset(tmp_path)
    folder = dataset(tmp_path)
    (folder / "imagesTr" / "b_0000.nii.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"b_0000\.nii\.gz does not exist; it is channel 0 of case b"):
        read_nnunet_dataset(folder, TARGETS)
    with pytest.raises(ValueError, match=r"holds no file that ends in \.nii\.gz"):
        read_nnunet_dataset(dataset(tmp_path / "empty", cases=()), TARGETS)
    (folder / "dataset.json").write_text("{")
    with pytest.raises(ValueError, match="line 1: no JSON"):
        open_nnunet_dataset(folder)


def test_the_target_is_the_only_label_or_the_one_that_is_named(tmp_path):
    folder = dataset(tmp_path)
    two = {"tumour": {"channels": 3}, "organ": {"channels": 2}}
    with pytest.raises(ValueError, match="labelsTr could stand for any of organ, tumour; say which by label = NAME"):
        read_nnunet_dataset(folder, two)
    assert "organ" in read_nnunet_dataset(folder, two, label="organ")[0]


def test_one_file_may_hold_all_channels(tmp_path):
    folder = dataset(tmp_path, channels=1)  # of two that the dataset names
    assert read_nnunet_dataset(folder, TARGETS)[0]["image"] == str(folder / "imagesTr" / "a_0000.nii.gz")
    assert nnunet_cases(folder / "imagesTr", n_channels=2)[0]["image"] == str(folder / "imagesTr" / "a_0000.nii.gz")
