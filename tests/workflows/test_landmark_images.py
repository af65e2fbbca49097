"""Images whose landmarks are to be found: rows, ids, truth, and what is wrong with them."""

import json
import logging

import numpy as np
import pytest
from PIL import Image
from tests.inferers.landmark_networks import write_image

from scripts.volumes import Landmarks, open_volume, write_landmarks
from scripts.workflows import landmark_inputs
from scripts.workflows.landmark_images import LandmarkImages

SHAPE, SPACING, ORIGIN = (6, 8, 10), (2.0, 1.0, 1.0), (4.0, 0.0, 0.0)
POINTS = [[1.5, 2, 3], [5, 7, 9]]


@pytest.fixture
def path(tmp_path):
    return write_image(tmp_path / "mouse.zarr", np.zeros((1, *SHAPE), np.uint8), SPACING, ORIGIN)


def test_inputs_are_paths_lists_rows_or_files(tmp_path):
    row = {"image": "b.nii.gz", "id": "b"}
    assert landmark_inputs("a.png") == [{"image": "a.png"}]
    assert landmark_inputs(["a.png", tmp_path / "b.png"]) == [{"image": "a.png"}, {"image": str(tmp_path / "b.png")}]
    assert landmark_inputs(row) == landmark_inputs([row]) == [row]
    sample = {"coordinates": [[3, 2], [9, 7], None], "has_annotation": True, "age": 7}
    content = {"training": [{"id": "a", "image": "a.png", **sample}], "validation": []}
    (tmp_path / "fold1.json").write_text(json.dumps(content))
    (one,) = landmark_inputs(landmark_file=tmp_path, fold=1, root="/data", landmarks=[1, 0])
    assert one["image"] == "/data/a.png"
    assert one["landmarks"] == [[7, 9], [2, 3]]
    assert one["extra"] == {"age": 7}
    content["testing"] = [{"id": "t", "image": "t.png", "coordinates": None}]
    (tmp_path / "fold1.json").write_text(json.dumps(content))
    for given in ({"input": str(tmp_path / "fold1.json")}, {"landmark_file": tmp_path / "fold1.json"}):
        (one,) = landmark_inputs(**given)
        assert (one["id"], one["landmarks"]) == ("t", None)


def test_either_input_or_a_file_is_given():
    with pytest.raises(ValueError, match="either input or landmark_file; got input = None, landmark_file = None"):
        landmark_inputs()
    with pytest.raises(ValueError, match=r"got input = 'a\.png', landmark_file = 'b\.json'"):
        landmark_inputs("a.png", "b.json")


def test_truth_is_in_voxels_of_the_image_whatever_size_the_network_gets(path, tmp_path):
    physical = np.multiply(POINTS, SPACING) + ORIGIN
    write_landmarks(tmp_path / "a.csv", Landmarks(("nose", "ear"), physical, "physical", "mm"))
    row = {
        "image": path,
        "landmarks": str(tmp_path / "a.csv"),
        "id": "mouse 7",
        "extra": {"age": 3},
        "shape": [3, 4, 5],
    }
    images = LandmarkImages([row, {"image": path, "landmarks": [POINTS[0], None], "id": 8}, {"image": path}])
    assert len(images) == 3
    first, second, third = (images[n] for n in range(3))
    assert first["id"] == "mouse 7"
    assert first["extra"] == {"age": 3}
    assert first["image"][0].spatial_shape == SHAPE
    assert np.allclose(first["truth"], POINTS)
    assert second["id"] == "8"
    assert np.allclose(second["truth"], [POINTS[0], [np.nan] * 3], equal_nan=True)
    assert third["id"] == "mouse"
    assert third["truth"] is None
    # all have the names of the first that has any, so that they can stand in one table
    assert [one["landmark_names"] for one in (first, second, third)] == [["nose", "ear"]] * 3
    assert LandmarkImages([{"image": path}])[0]["landmark_names"] is None
    assert LandmarkImages([row], ["a", "b"])[0]["landmark_names"] == ["a", "b"]


def test_an_image_with_spacing_is_read_at_that(path):
    """Voxels half as large along z have their centres at (i + 0.5) 2 - 0.5."""
    row = {"image": path, "landmarks": POINTS, "spacing": [1, 1, 1]}
    one = LandmarkImages([row])[0]
    assert one["image"][0].spatial_shape == (12, 8, 10)
    assert np.allclose(one["truth"], [[3.5, 2, 3], [10.5, 7, 9]])


def test_several_arrays_are_the_channels_of_an_image(path, tmp_path):
    other = write_image(tmp_path / "other.zarr", np.ones((1, *SHAPE), np.uint8), SPACING, ORIGIN)
    one = LandmarkImages([{"image": [path, other], "landmarks": POINTS}])[0]
    assert [volume.path for volume in one["image"]] == [path, other]
    assert one["id"] == "mouse"
    assert np.allclose(one["truth"], POINTS)


def test_pictures_have_landmarks_in_2d(tmp_path):
    Image.fromarray(np.zeros((8, 10), np.uint8)).save(tmp_path / "a.png")
    one = LandmarkImages([{"image": str(tmp_path / "a.png"), "landmarks": [[2, 3], [7.5, 9]]}])[0]
    assert np.allclose(one["truth"], [[0, 2, 3], [0, 7.5, 9]])
    assert one["image"][0].spatial_shape == (1, 8, 10)


def test_ids_occur_once(path, tmp_path):
    with pytest.raises(ValueError, match="id 'a' occurs twice among the images; give each row its own 'id'"):
        LandmarkImages([{"image": path, "id": "a"}, {"image": path, "id": "b"}, {"image": "x/a.nii.gz"}])


def test_images_without_ids_are_called_like_their_files_with_folders_where_these_are_alike():
    rows = [{"image": image} for image in ("/a/x.nii.gz", "/a/1.5T.ome.zarr::2", "/b/y.png")]
    assert LandmarkImages(rows).ids == ["x", "1.5T.ome", "y"]
    rows = [{"image": "/data/a/raw.zarr"}, {"image": ["/data/b/raw.zarr", "/data/b/c.zarr"]}, {"image": "q", "id": 7}]
    assert LandmarkImages(rows).ids == ["a_raw", "b_raw", "7"]
    assert LandmarkImages([{"image": "/raw.zarr"}, {"image": "/b/raw.zarr"}]).ids == ["raw", "b_raw"]
    with pytest.raises(ValueError, match="id 'raw' occurs twice"):
        LandmarkImages([{"image": "raw.zarr"}, {"image": "raw.zarr"}])
    assert LandmarkImages([]).ids == []


def test_an_image_is_named():
    with pytest.raises(ValueError, match=r"rows \[1\] of the images have no 'image'"):
        LandmarkImages([{"image": "a.png"}, {"landmarks": POINTS}])


def test_a_missing_image_names_the_sample(tmp_path):
    images = LandmarkImages([{"image": str(tmp_path / "gone.nii.gz"), "id": "mouse 7"}])
    with pytest.raises(FileNotFoundError, match=r"mouse 7: .*gone\.nii\.gz does not exist"):
        images[0]


def test_a_wrong_number_of_landmarks_names_the_sample(path):
    row = {"image": path, "landmarks": [*POINTS, None], "id": "mouse 7"}
    with pytest.raises(ValueError, match="mouse 7: has 3 landmarks; expected 2: nose, ear"):
        LandmarkImages([row], ["nose", "ear"])[0]
    with pytest.raises(ValueError, match="mouse 7: has 3 landmarks; expected 2: 1, 2"):
        LandmarkImages([{"image": path, "landmarks": POINTS}, row])[1]


@pytest.mark.parametrize(
    ("landmarks", "message"),
    [
        ("{folder}/gone.csv", r"gone\.csv"),
        ("{folder}/torn.mrk.json", r"torn\.mrk\.json"),
        ([[1, 2]], "2D"),
        (5, "expected the path of a file, or a list"),
    ],
)
def test_landmarks_that_cannot_be_read_name_the_sample(path, tmp_path, landmarks, message):
    (tmp_path / "torn.mrk.json").write_text('{"markups": [')
    given = landmarks.format(folder=tmp_path) if isinstance(landmarks, str) else landmarks
    with pytest.raises((ValueError, FileNotFoundError), match=f"mouse 7: .*{message}"):
        LandmarkImages([{"image": path, "landmarks": given, "id": "mouse 7"}])[0]


def test_landmarks_outside_of_the_image_are_kept_and_told(path, caplog):
    row = {"image": path, "landmarks": [POINTS[0], [5, 7, 9.75], [0, -20, 3]], "id": "mouse 7"}
    with caplog.at_level(logging.WARNING):
        one = LandmarkImages([row])[0]
    assert np.allclose(one["truth"], row["landmarks"])
    assert "mouse 7: 2 of 3 landmarks lie beyond the image of [6, 8, 10] voxels" in caplog.text
    assert "the first is landmark 2 at [5.0, 7.0, 9.75]" in caplog.text


def test_opened_images_are_those_of_open_volume(path):
    (volume,) = LandmarkImages([{"image": path}])[0]["image"]
    assert type(volume) is type(open_volume(path))
