"""Lists of volumes: what is read is what was written, and what is wrong is named with its line."""

import json
import logging

import numpy as np
import pytest
import zarr

from scripts.patches import (
    find_patches,
    read_datalist,
    read_datasplit,
    split_patches,
    volume_faults,
    write_datalist,
    write_datasplit,
)

TARGETS = {"organ": {"channels": 3}, "depth": {"channels": 1, "kind": "scalar"}}
CLASSES = {"nuc": {"channels": 1}, "er": {"channels": 1}}


def write_json(path, content):
    path.write_text(json.dumps(content))
    return path


def test_an_msd_datalist_is_read_relative_to_its_file(tmp_path):
    content = {
        "name": "Hippocampus",
        "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}],
        "test": ["./imagesTs/b.nii.gz"],
    }
    rows = read_datalist(write_json(tmp_path / "dataset.json", content), TARGETS)
    assert rows == [{"image": str(tmp_path / "imagesTr/a.nii.gz"), "organ": str(tmp_path / "labelsTr/a.nii.gz")}]


def test_validation_lists_and_folds_say_what_validates(tmp_path):
    entries = [{"image": f"/{i}.nii.gz", "organ": f"/{i}_label.nii.gz", "fold": i % 3} for i in range(6)]
    path = write_json(tmp_path / "folds.json", {"training": entries})
    assert [row["split"] for row in read_datalist(path, TARGETS, fold=1)] == ["train", "val", "train"] * 2
    assert all("split" not in row and "fold" not in row for row in read_datalist(path, TARGETS))
    both = write_json(tmp_path / "both.json", {"training": entries[:2], "validation": entries[2:3]})
    assert [row["split"] for row in read_datalist(both, TARGETS)] == ["train", "train", "val"]
    with pytest.raises(ValueError, match="no volume is of fold 7"):
        read_datalist(path, TARGETS, fold=7)


def test_a_datalist_that_is_written_is_read_again(tmp_path):
    volumes = [
        {"image": ["/a.zarr", "s3://bucket/b.zarr"], "organ": "/o.zarr::1", "spacing": [2, 1, 1], "split": "train"},
        {
            "image": "/c.zarr",
            "organ": "/p.zarr",
            "region": [[0, 0, 0], [9, 9, 9]],
            "ref_label": "organ",
            "split": "val",
        },
    ]
    write_datalist(tmp_path / "datalist.json", volumes)
    assert read_datalist(tmp_path / "datalist.json", TARGETS) == volumes
    write_datalist(tmp_path / "folds.json", [{"image": f"/{i}"} for i in range(10)], n_folds=5, seed=1)
    folds = [entry["fold"] for entry in json.loads((tmp_path / "folds.json").read_text())["training"]]
    assert sorted(folds) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert folds != sorted(folds)


def test_files_of_points_are_placed_like_arrays(tmp_path, monkeypatch):
    content = {"training": [{"image": "a.zarr", "points": "points/a.csv"}, {"image": "b.zarr", "points": None}]}
    rows = read_datalist(write_json(tmp_path / "dataset.json", content), TARGETS)
    assert [row["points"] for row in rows] == [str(tmp_path / "points/a.csv"), None]
    monkeypatch.chdir(tmp_path)
    write_datalist(tmp_path / "written.json", [{"image": "a.zarr", "points": "points/a.csv"}])
    assert json.loads((tmp_path / "written.json").read_text())["training"][0]["points"] == rows[0]["points"]


def test_landmarks_may_name_a_file_or_stand_in_the_list(tmp_path, monkeypatch):
    entries = [{"image": "a.zarr", "landmarks": "a.mrk.json"}, {"image": "b.zarr", "landmarks": [[1, 2, 3], None]}]
    (tmp_path / "list.json").write_text(json.dumps({"training": entries}))
    rows = read_datalist(tmp_path / "list.json", {"maps": {"channels": 2, "kind": "points"}})
    assert [row["landmarks"] for row in rows] == [str(tmp_path / "a.mrk.json"), [[1, 2, 3], None]]
    monkeypatch.chdir(tmp_path)
    write_datalist(tmp_path / "written.json", [{**entry, "id": "a"} for entry in entries])
    written = json.loads((tmp_path / "written.json").read_text())["training"]
    assert [row["landmarks"] for row in written] == [row["landmarks"] for row in rows]
    assert written[0]["id"] == "a"


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ({"train": []}, {}, "expected a dictionary with a list 'training'; found train"),
        ({"training": [{"image": "a"}, {"label": "b"}]}, {}, r"training\[1\]: expected a dictionary with 'image'"),
        ({"training": [], "validation": ["a"]}, {}, r"validation\[0\]: expected a dictionary with 'image'; got 'a'"),
        ({"training": [{"image": "a"}]}, {"fold": 0}, r"training\[0\]: has no 'fold', and fold = 0 is asked for"),
    ],
)
def test_faults_of_datalists(tmp_path, content, arguments, message):
    with pytest.raises(ValueError, match=message):
        read_datalist(write_json(tmp_path / "list.json", content), TARGETS, **arguments)


def test_a_label_that_could_be_several_targets_is_asked_for(tmp_path):
    path = write_json(tmp_path / "list.json", {"training": [{"image": "/a", "label": "/b"}]})
    with pytest.raises(ValueError, match="'label' could be any of the targets er, nuc"):
        read_datalist(path, CLASSES)
    assert read_datalist(path, CLASSES, label="er") == [{"image": "/a", "er": "/b"}]
    (tmp_path / "broken.json").write_text('{"training":\n [}')
    with pytest.raises(ValueError, match=r"broken\.json, line 2: no JSON"):
        read_datalist(tmp_path / "broken.json", CLASSES)


CSV = """"train","/data/jrc.zarr","recon-1/em/fibsem-uint8","/data/jrc.zarr","recon-1/labels/crop1/[nuc,er,mito]"
"validate","s3://bucket/b.zarr","recon-1/em","labels.zarr","crop7/[er]"

"train","/data/jrc.zarr","recon-1/em/fibsem-uint8","/data/jrc.zarr","recon-1/labels/crop2/[mito]"
"""


def test_a_cellmap_data_split_is_read(tmp_path, caplog):
    (tmp_path / "datasplit.csv").write_text(CSV)
    with caplog.at_level(logging.INFO):
        rows = read_datasplit(tmp_path / "datasplit.csv", CLASSES, spacing=(8, 8, 8))
    crop = "/data/jrc.zarr/recon-1/labels/crop1"
    assert rows == [
        {
            "image": "/data/jrc.zarr/recon-1/em/fibsem-uint8", "nuc": f"{crop}/nuc", "er": f"{crop}/er",
            "split": "train", "spacing": [8.0, 8.0, 8.0],
        },
        {
            "image": "s3://bucket/b.zarr/recon-1/em", "er": f"{tmp_path}/labels.zarr/crop7/er", "split": "val",
            "spacing": [8.0, 8.0, 8.0],
        },
    ]  # fmt: skip
    assert "line 4: none of its classes ['mito'] is a target; left out" in caplog.text
    write_datasplit(tmp_path / "again.csv", rows)
    assert read_datasplit(tmp_path / "again.csv", CLASSES, spacing=(8, 8, 8)) == rows
    assert (tmp_path / "again.csv").read_text().splitlines()[0] == CSV.splitlines()[0].replace(",mito", "")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('"test","/a.zarr","raw","/a.zarr","l/[nuc]"', r"line 2: column 1 must be train or validate; got 'test'"),
        ('"train","/a.zarr","raw","/a.zarr"', r"line 2: expected 5 columns \(train or validate, .*; got 4"),
        (
            '"train","/a.zarr","raw","/a.zarr","l/nuc"',
            r"line 2: column 5 must be a group and its classes.*; got 'l/nuc'",
        ),
        ('"train","","raw","/a.zarr","l/[nuc]"', r"line 2: column 2 must name a store; it is empty"),
    ],
)
def test_a_wrong_column_is_named_with_its_line(tmp_path, line, message):
    (tmp_path / "datasplit.csv").write_text(f"{CSV.splitlines()[0]}\n{line}\n")
    with pytest.raises(ValueError, match=message):
        read_datasplit(tmp_path / "datasplit.csv", CLASSES)


def test_a_data_split_without_any_target_is_an_error(tmp_path):
    (tmp_path / "datasplit.csv").write_text(CSV)
    with pytest.raises(ValueError, match="no line has a class that a target reads; targets read: golgi"):
        read_datasplit(tmp_path / "datasplit.csv", {"golgi": {"channels": 1}})


@pytest.mark.parametrize(
    "row",
    [
        {"image": ["a", "b"], "nuc": "l/nuc"},
        {"image": "a"},
        {"image": "a", "nuc": "l/nuc", "er": "m/er"},
        {"image": "a", "nuc": "l/x"},
    ],
)
def test_rows_that_a_data_split_cannot_hold(tmp_path, row):
    with pytest.raises(ValueError, match=r"volumes\[0\]: a data split holds"):
        write_datasplit(tmp_path / "datasplit.csv", [row])


def test_a_data_split_of_crops_gives_patches_that_train_and_validate(tmp_path):
    """From the CSV to patches, for stores that exist, without any further table."""
    lines = []
    for number, usage in enumerate(["train", "validate"]):
        store = tmp_path / f"scan{number}.zarr"
        for name in ("raw", "crop1/nuc"):
            array = zarr.create_array(str(store / name), shape=(16, 16, 16), chunks=(8, 8, 8), dtype="uint8")
            array[...] = np.ones((16, 16, 16), np.uint8)
        lines.append(f'"{usage}","{store}","raw","{store}","crop1/[nuc,er]"'.replace(",er", ""))
    (tmp_path / "datasplit.csv").write_text("\n".join(lines))
    volumes = read_datasplit(tmp_path / "datasplit.csv", {"nuc": {"channels": 1}})
    assert volume_faults(volumes, {"nuc": {"channels": 1}}) == []
    train, val = split_patches(find_patches(volumes, (8, 8, 8)), volumes)
    assert {p["volume"] for p in train} == {0}
    assert {p["volume"] for p in val} == {1}
