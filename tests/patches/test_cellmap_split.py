"""How crops are divided, and the rows that they become."""

import re

import pytest
from tests.cellmap_tree import write_tree

from scripts.patches import (
    Crop,
    CropClass,
    cellmap_volumes,
    complete_volumes,
    crop_volumes,
    read_datasplit,
    split_crops,
    write_datasplit,
)
from scripts.patches.cellmap_crops import S3_SEARCH_PATH

CLASSES = ["nuc", "er"]


def make_crop(number, classes=("nuc", "er"), dataset="jrc"):
    path = f"/{dataset}.zarr/recon-1/labels/groundtruth/crop{number}"
    labels = {
        name: CropClass(name, f"{path}/{name}", ((8.0, 8.0, 8.0),), (0.0, 0.0, 0.0), (4, 4, 4), "nm")
        for name in classes
    }
    return Crop(dataset, f"crop{number}", path, f"/{dataset}.zarr/recon-1/em/fibsem-uint8", labels)


FULL = [make_crop(n) for n in range(200)]


def names(crops):
    return [crop.name for crop in crops]


def test_the_share_follows_the_probability():
    for probability in (0.1, 0.5, 0.9):
        train, validate = split_crops(FULL, CLASSES, validation_prob=probability)
        assert abs(len(validate) / 200 - probability) < 0.08  # binomial: 3 standard deviations are 0.106 at 0.5
        assert sorted(names(train) + names(validate)) == sorted(names(FULL))
        assert names(train) == [name for name in names(FULL) if name in names(train)]


def test_the_seed_decides_and_other_crops_do_not():
    validate = names(split_crops(FULL, CLASSES, validation_prob=0.3, seed=1)[1])
    assert names(split_crops(FULL, CLASSES, validation_prob=0.3, seed=1)[1]) == validate
    assert names(split_crops(FULL, CLASSES, validation_prob=0.3, seed=2)[1]) != validate
    half = names(split_crops(FULL[:100], CLASSES, validation_prob=0.3, seed=1)[1])
    assert half == [name for name in validate if int(name[4:]) < 100]
    others = [make_crop(n, dataset="other") for n in range(200)]
    assert names(split_crops(others, CLASSES, validation_prob=0.3, seed=1)[1]) != validate


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("probability", [1e-9, 0.15, 0.5, 1 - 1e-9])
def test_neither_part_is_empty(seed, probability):
    for number in (2, 3):
        train, validate = split_crops(FULL[:number], CLASSES, validation_prob=probability, seed=seed)
        assert train
        assert validate
    # an only crop trains
    assert split_crops(FULL[:1], CLASSES, validation_prob=probability, seed=seed) == (FULL[:1], [])


def test_zero_and_one_are_taken_at_their_word():
    assert split_crops(FULL, CLASSES, validation_prob=0) == (FULL, [])
    assert split_crops(FULL, CLASSES, validation_prob=1) == ([], FULL)


def test_force_all_classes():
    partial = [make_crop(n, ["nuc"]) for n in range(1000, 1100)]
    mixed = [crop for pair in zip(FULL[:100], partial, strict=True) for crop in pair]
    parts = {forced: split_crops(mixed, CLASSES, validation_prob=0.5, force_all_classes=forced)
             for forced in (False, True, "train", "validate")}  # fmt: skip

    def lacking(crops):
        return sum(crop in partial for crop in crops)

    train, validate = parts[False]
    assert lacking(train) > 20
    assert lacking(validate) > 20
    assert len(parts[True][0]) + len(parts[True][1]) == 100
    assert lacking(parts[True][0]) == lacking(parts[True][1]) == 0
    assert (lacking(parts["train"][0]), lacking(parts["train"][1])) == (0, 100)
    assert (lacking(parts["validate"][0]), lacking(parts["validate"][1])) == (100, 0)
    full_that_validate = [name for name in names(parts[False][1]) if int(name[4:]) < 1000]
    for forced in (True, "train", "validate"):  # those with all classes go where they were drawn
        assert [name for name in names(parts[forced][1]) if int(name[4:]) < 1000] == full_that_validate


def test_the_only_full_crop_goes_where_it_is_needed():
    mixed = [make_crop(0), make_crop(1, ["nuc"]), make_crop(2, ["er"])]
    for seed in range(10):
        for probability in (0.01, 0.99):
            options = {"validation_prob": probability, "seed": seed}
            assert names(split_crops(mixed, CLASSES, force_all_classes="validate", **options)[1]) == ["crop0"]
            assert names(split_crops(mixed, CLASSES, force_all_classes="train", **options)[0]) == ["crop0"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"force_all_classes": "val"}, "force_all_classes must be true, false, train or validate; got 'val'"),
        ({"force_all_classes": 1}, "force_all_classes must be .* got 1"),
        ({"validation_prob": 1.5}, "validation_prob is a probability from 0 to 1; got 1.5"),
        ({"force_all_classes": True}, r"none of 2 crops has every class; crops that have each: \{'nuc': 1, 'er': 1\}"),
        ({"force_all_classes": "validate"}, "force_all_classes = 'validate': none of 2 crops has every class"),
        ({"force_all_classes": "train", "validation_prob": 1}, "force_all_classes = 'train': none of 2"),
    ],
)
def test_faults(options, message):
    with pytest.raises(ValueError, match=message):
        split_crops([make_crop(0, ["nuc"]), make_crop(1, ["er"])], CLASSES, **options)


def test_rows_name_what_is_annotated():
    crops = [make_crop(0), make_crop(1, ["nuc"]), make_crop(2, ["mito"])]
    raw = "/jrc.zarr/recon-1/em/fibsem-uint8"
    truth = "/jrc.zarr/recon-1/labels/groundtruth"
    assert crop_volumes(crops, ["er", "nuc"], (8, 8, 4), "val") == [
        {
            "image": raw,
            "er": f"{truth}/crop0/er",
            "nuc": f"{truth}/crop0/nuc",
            "spacing": [8.0, 8.0, 4.0],
            "split": "val",
        },
        {"image": raw, "nuc": f"{truth}/crop1/nuc", "spacing": [8.0, 8.0, 4.0], "split": "val"},
    ]
    assert crop_volumes(crops[2:], ["mito"]) == [{"image": raw, "mito": f"{truth}/crop2/mito"}]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp("tree"))


def crop_names(rows, key="cell"):
    return [re.search(r"crop\d+", row[key])[0] for row in rows if key in row]


def test_a_table_without_a_file_equals_the_one_through_a_file(tree, tmp_path):
    rows = cellmap_volumes(["nuc", "cell"], str(tree), spacing=(8, 8, 8), seed=3)
    assert {row["split"] for row in rows} == {"train", "val"}
    write_datasplit(tmp_path / "split.csv", rows)
    targets = {"nuc": {"channels": 1}, "cell": {"channels": 1}}
    assert read_datasplit(tmp_path / "split.csv", targets, spacing=(8, 8, 8)) == rows


@pytest.mark.parametrize(
    ("given", "expected"),
    [(False, ["crop1", "crop10"]), (True, ["crop1"]), (4, ["crop1"]), ([16, 16, 16], ["crop1", "crop10"])],
)
def test_coarse_labels_are_left_out(tree, tmp_path, given, expected):
    rows = cellmap_volumes(["cell"], str(tree), spacing=(8, 8, 8), filter_by_scale=given)
    assert sorted(crop_names(rows)) == expected
    write_datasplit(tmp_path / "all.csv", cellmap_volumes(["cell"], str(tree)))
    read = read_datasplit(
        tmp_path / "all.csv", {"cell": {"channels": 1}}, spacing=(8, 8, 8), filter_by_scale=given
    )  # fmt: skip
    assert sorted(crop_names(read)) == expected


def test_nothing_is_fine_enough(tree, tmp_path):
    with pytest.raises(
        ValueError, match=r"no label is as fine as filter_by_scale = \[1.0, 1.0, 1.0\]; finest levels are \[4"
    ):
        cellmap_volumes(["cell"], str(tree), filter_by_scale=1)
    write_datasplit(tmp_path / "all.csv", cellmap_volumes(["cell"], str(tree)))
    with pytest.raises(
        ValueError, match=r"no line has a class that a target reads and is as fine as .* = \[1.0, 1.0, 1.0\]"
    ):
        read_datasplit(tmp_path / "all.csv", {"cell": {"channels": 1}}, filter_by_scale=1)


def test_a_file_loses_only_the_coarse_class(tree, tmp_path):
    """`cell` is read at 8 nm from 4 nm and 16 nm voxels; the class beside it in the line stays."""
    from tests.cellmap_tree import COARSE, FINE, write_multiscale

    write_tree(tmp_path, [FINE, COARSE])
    cell = tmp_path / "jrc_fine.zarr/recon-1/labels/groundtruth/crop1/cell"
    write_multiscale(cell, lambda z, y, x: z > 0, (8, 8, 16), (80, 80, 84), (12, 12, 6))
    write_datasplit(tmp_path / "all.csv", cellmap_volumes(["nuc", "cell"], str(tmp_path), crops=[1]))
    targets = {"nuc": {"channels": 1}, "cell": {"channels": 1}}
    kept = read_datasplit(tmp_path / "all.csv", targets, spacing=(8, 8, 8), filter_by_scale=True)
    assert [sorted(row) for row in kept] == [["image", "nuc", "spacing", "split"]]
    kept = read_datasplit(tmp_path / "all.csv", targets, spacing=(8, 8, 8), filter_by_scale=[8, 8, 16])
    assert [sorted(row) for row in kept] == [["cell", "image", "nuc", "spacing", "split"]]


def make_row(split, *classes):
    return {"image": "raw", **dict.fromkeys(classes, "path"), "split": split}


def test_incomplete_rows_leave_the_part_that_needs_every_class():
    rows = [
        make_row("train", "nuc"),
        make_row("train", "nuc", "er"),
        make_row("val", "er"),
        make_row("val", "er", "nuc"),
    ]
    kept = {forced: complete_volumes(rows, CLASSES, forced) for forced in (False, True, "train", "validate")}
    assert kept == {False: rows, True: rows[1::2], "train": rows[1:], "validate": [*rows[:2], rows[3]]}


def test_a_part_that_loses_all_rows_is_an_error():
    rows = [make_row("train", "nuc", "er"), make_row("val", "er"), make_row("val", "er")]
    with pytest.raises(ValueError, match=r"none of 2 crops that are to validate .*have each: \{'nuc': 0, 'er': 2\}"):
        complete_volumes(rows, CLASSES, "validate")
    assert complete_volumes(rows[:1], CLASSES, "validate") == rows[:1]
    with pytest.raises(ValueError, match="must be true, false, train or validate; got 'val'"):
        complete_volumes(rows, CLASSES, "val")


def test_the_bucket_is_one_search_path(monkeypatch):
    asked = []
    monkeypatch.setattr("scripts.patches.cellmap_split.find_crops", lambda path, **_: asked.append(path) or FULL[:2])
    for options in ({}, {"use_s3": True}, {"search_path": "s3://own/folder"}):
        cellmap_volumes(CLASSES, **options)
    assert asked == ["data", S3_SEARCH_PATH, "s3://own/folder"]
    with pytest.raises(ValueError, match="search_path = mine; give one of them"):
        cellmap_volumes(CLASSES, "mine", use_s3=True)
