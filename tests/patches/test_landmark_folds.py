"""JSON files of LaNNU-Net as rows of `volumes`."""

import json

import pytest

from scripts.patches import read_landmark_folds


def sample(name, coordinates, **more):
    return {"id": name, "image": f"images/{name}.tif", "coordinates": coordinates, **more}


def fold(path, training, validation=(), testing=()):
    content = {"name": "hands", "training": training, "validation": list(validation), "testing": list(testing)}
    path.write_text(json.dumps(content))
    return path


TWO = [[1, 2.5], [3, 4]]


def test_samples_become_rows_in_array_order(tmp_path):
    path = fold(
        tmp_path / "hands.json",
        [sample("a", TWO, age=7, has_annotation=True)],
        [sample("b", [[5, 6], None])],
        [sample("c", None, has_annotation=False), {**sample("d", TWO, has_annotation=False), "image": "/data/d.tif"}],
    )
    a = {
        "image": str(tmp_path / "images/a.tif"), "landmarks": [[2.5, 1.0], [4.0, 3.0]], "id": "a", "split": "train",
        "extra": {"age": 7},
    }  # fmt: skip
    b = {"image": str(tmp_path / "images/b.tif"), "landmarks": [[6.0, 5.0], None], "id": "b", "split": "val"}
    assert read_landmark_folds(path) == [a, b]
    c, d = read_landmark_folds(path, splits=["test"], root="/elsewhere")
    assert c == {"image": "/elsewhere/images/c.tif", "landmarks": None, "id": "c", "split": "test"}
    assert d["image"] == "/data/d.tif"
    assert d["landmarks"] is None


def test_three_numbers_are_x_y_z_and_landmarks_are_chosen_by_position(tmp_path):
    path = fold(tmp_path / "x.json", [sample("a", [[1, 2, 3], [4, 5, None], [7, 8, 9]])])
    assert read_landmark_folds(path)[0]["landmarks"] == [[3, 2, 1], None, [9, 8, 7]]
    assert read_landmark_folds(path, landmarks=[2, 0])[0]["landmarks"] == [[9, 8, 7], [3, 2, 1]]


def test_a_fold_is_a_file_of_the_folder(tmp_path):
    for n in range(2):
        fold(tmp_path / f"fold{n}.json", [sample(f"a{n}", TWO)])
    assert [row["id"] for row in read_landmark_folds(tmp_path, 1)] == ["a1"]
    with pytest.raises(FileNotFoundError, match=r"fold2\.json is no file; JSON files in .*: fold0\.json, fold1\.json"):
        read_landmark_folds(tmp_path, 2)
    with pytest.raises(FileNotFoundError, match=r"hands\.json is no file; JSON files in .*: fold0\.json, fold1\.json"):
        read_landmark_folds(tmp_path / "hands.json")
    with pytest.raises(FileNotFoundError, match=r"JSON files in .*none: none"):
        read_landmark_folds(tmp_path / "none", 0)


@pytest.mark.parametrize(
    ("training", "validation", "message"),
    [
        ([sample("a", TWO)], [sample("a", TWO)], r"id 'a' occurs twice, in train and in val"),
        ([sample("a", None)], [], r"training\[0\] \(id 'a'\): has no annotation"),
        ([sample("a", TWO, has_annotation=False)], [], r"training\[0\] \(id 'a'\): has no annotation"),
        ([], [sample("a", None)], r"validation\[0\] \(id 'a'\): has no annotation"),
        ([sample("a", TWO), sample("b", TWO[:1])], [], "must have the same: 'a' has 2 landmarks, 'b' has 1 landmarks"),
        (
            [sample("a", TWO), sample("b", [[1, 2, 3], None])],
            [],
            "must have the same: 'a' has landmarks in 2D, 'b' has landmarks in 3D",
        ),
        ([sample("a", [[1, 2], [3]])], [], r"\(id 'a'\): coordinates\[1\]: expected \[x, y\].*; got \[3\]"),
        ([sample("a", [[1, "2"]])], [], r"coordinates\[0\]: expected .*; got \[1, '2'\]"),
        ([sample("a", "1,2")], [], r"coordinates: expected a list of \[x, y\], or null; got '1,2'"),
        (
            [{"id": "a"}],
            [],
            r"training\[0\] \(id 'a'\): expected a dictionary with 'id' and 'image'; got \{'id': 'a'\}",
        ),
        ([5], [], r"training\[0\]: expected a dictionary with 'id' and 'image'; got 5"),
    ],
)
def test_faults_name_the_sample(tmp_path, training, validation, message):
    with pytest.raises(ValueError, match=message):
        read_landmark_folds(fold(tmp_path / "x.json", training, validation))


def test_all_faults_are_told_at_once(tmp_path):
    path = fold(tmp_path / "x.json", [sample("a", None), sample("b", [[1]])])
    with pytest.raises(ValueError, match=r"(?s)training\[0\].*\n.*training\[1\]"):
        read_landmark_folds(path)


def test_what_is_no_such_file_is_said(tmp_path):
    (tmp_path / "x.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"expected a dictionary with lists training, validation, testing; found list"):
        read_landmark_folds(tmp_path / "x.json")
    (tmp_path / "x.json").write_text("{\n,")
    with pytest.raises(ValueError, match=r"x\.json, line 2: no JSON"):
        read_landmark_folds(tmp_path / "x.json")
    path = fold(tmp_path / "y.json", [sample("a", TWO)])
    with pytest.raises(ValueError, match=r"landmarks = \[2\] asks for numbers from 0; there are 2 coordinates"):
        read_landmark_folds(path, landmarks=[2])
