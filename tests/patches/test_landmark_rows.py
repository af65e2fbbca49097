"""Landmarks of a `volumes` table: placed, and every fault in the words that a person reads."""

import logging

import numpy as np
import pytest

from scripts.geometry import parse_targets
from scripts.patches import landmark_names, make_datalist, open_images, place_landmarks, row_landmarks, volume_faults
from scripts.volumes import Landmarks, create_ome_zarr, write_landmarks

SHAPE, SPACING = (6, 8, 10), (2.0, 1.0, 1.0)
TARGETS = {"heatmaps": {"channels": 2, "kind": "points"}}
POINTS = [[1.5, 2, 3], [5, 7, 9]]


def store(path, shape=SHAPE):
    create_ome_zarr(path, (1, *shape), "uint8", spacing=SPACING, translation=(4, 0, 0), unit="um")
    return str(path)


@pytest.fixture
def volume(tmp_path):
    return {"image": store(tmp_path / "a.zarr"), "landmarks": POINTS, "id": "mouse 7", "extra": {"age": 3}}


def faults(*rows, targets=TARGETS):
    return volume_faults(list(rows), targets)


def test_a_list_and_a_file_give_the_same_voxels(volume, tmp_path):
    physical = np.multiply(POINTS, SPACING) + np.array([4, 0, 0])
    write_landmarks(tmp_path / "a.csv", Landmarks(("nose", "ear"), physical, "physical", "um"))
    row = {**volume, "landmarks": str(tmp_path / "a.csv")}
    for one in (volume, row):
        assert np.allclose(place_landmarks(one, row_landmarks(one), open_images(one)[0]), POINTS)
        assert faults(one) == []
    assert row_landmarks({"image": "x"}) is None
    assert landmark_names([{"image": "x"}, row]) == ["nose", "ear"]
    assert landmark_names([volume]) == ["1", "2"]
    assert landmark_names([{"image": "x"}]) is None


@pytest.mark.parametrize("axes", ["zyx", "xzy"])
@pytest.mark.parametrize("spacing", [None, [1.0, 1.0, 2.0]])
def test_data_hold_voxels_of_the_grid_that_is_read(volume, axes, spacing):
    """A voxel f times as large has its centre at (i + 0.5) / f - 0.5; those of half the edge begin half as early."""
    row = {**volume, "landmarks": [*POINTS[:1], None], "axes": axes} | ({} if spacing is None else {"spacing": spacing})
    (datum,) = make_datalist([row], [{"volume": 0, "start": [0, 0, 0], "size": [2, 2, 2]}], TARGETS)
    factor = np.array([1, 1, 1] if spacing is None else [0.5, 1, 2])
    expected = (np.array(POINTS[0]) + 0.5) / factor - 0.5
    expected = expected[["zyx".index(axis) for axis in axes]]
    assert np.allclose(datum["landmarks"], [expected, [np.nan] * 3], equal_nan=True)
    assert "id" not in datum


def test_a_store_without_geometry_has_its_voxels_whatever_spacing_is_said(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(SHAPE, np.uint8))
    row = {"image": str(tmp_path / "a.npy"), "landmarks": POINTS, "spacing": [3.0, 2.0, 2.0]}
    assert np.allclose(place_landmarks(row, row_landmarks(row), open_images(row)[0]), POINTS)


def test_of_several_images_the_first_counts(volume, tmp_path):
    row = {**volume, "image": [volume["image"], store(tmp_path / "b.zarr")]}
    assert np.allclose(place_landmarks(row, row_landmarks(row), open_images(row)[0]), POINTS)


def test_a_volume_without_landmarks_has_missing_ones_beside_others(volume):
    patches = [{"volume": n, "start": [0, 0, 0], "size": [2, 2, 2]} for n in (0, 1)]
    other = {key: value for key, value in volume.items() if key != "landmarks"}
    first, second = make_datalist([volume, other], patches, TARGETS)
    assert np.allclose(first["landmarks"], POINTS)
    assert second["landmarks"].shape == (2, 3)
    assert np.isnan(second["landmarks"]).all()
    assert "landmarks" not in make_datalist([other], patches[:1], TARGETS)[0]
    assert "landmarks" not in make_datalist([volume], patches[:1], {"cell": {"channels": 1}})[0]
    with pytest.raises(ValueError, match=r"expected the same landmarks everywhere; there are \[1, 2\] of them"):
        make_datalist([volume, {**other, "landmarks": POINTS[:1]}], patches, TARGETS)


def test_a_wrong_number_names_the_sample(volume):
    (fault,) = faults({**volume, "landmarks": [*POINTS, None]})
    assert fault == (
        "volumes[0] (id 'mouse 7'): landmarks: there are 3 of them, but target 'heatmaps' has channels = 2: one for "
        "each landmark"
    )


def test_ids_occur_once(volume):
    assert faults(volume, {**volume, "id": "mouse 8"}) == []
    (fault,) = faults(volume, dict(volume))
    assert fault == "volumes[1]: id 'mouse 7' is that of volumes[0], too"


def test_a_missing_image_or_file_names_the_sample(volume, tmp_path):
    (fault,) = faults({**volume, "image": str(tmp_path / "gone.zarr")})
    assert fault.startswith("volumes[0] (id 'mouse 7'): image: ")
    assert "gone.zarr does not exist" in fault
    (fault,) = faults({**volume, "landmarks": str(tmp_path / "gone.csv")})
    assert fault.startswith("volumes[0] (id 'mouse 7'): landmarks: ")
    assert "gone.csv" in fault


@pytest.mark.parametrize("split", [None, "train", "val"])
def test_only_what_trains_needs_an_annotation(volume, split):
    row = {**volume, "id": "mouse 8", "landmarks": None, "split": split}
    found = faults(volume, row)
    if split == "val":
        assert found == []
    else:
        (fault,) = found
        assert fault.startswith("volumes[1] (id 'mouse 8'): has no 'landmarks' and nothing else to train on")


def test_another_target_is_enough_to_train_on(volume):
    row = {**volume, "id": "mouse 8", "landmarks": None, "cell": volume["image"]}
    assert faults(volume, row, targets={**TARGETS, "cell": {"channels": 1}}) == []


def test_landmarks_in_2d_do_not_go_with_3d(volume, tmp_path):
    flat = {"image": store(tmp_path / "flat.zarr", (1, 8, 10)), "landmarks": [[1, 2], None]}
    assert faults(flat) == []
    assert faults(volume, flat) == [
        "volumes: there are landmarks in 2D (volumes[1]) and in 3D (volumes[0]); expected one or the other"
    ]
    assert faults(volume, {**flat, "landmarks": [None, None]}) == []
    found = faults({**volume, "landmarks": [[1, 2], [3, 4]]})
    assert "landmarks in 2D (y, x) belong to" in found[0]


def test_stored_heatmaps_do_not_go_with_landmarks(volume, tmp_path):
    create_ome_zarr(tmp_path / "maps.zarr", (2, *SHAPE), "float32", spacing=SPACING, translation=(4, 0, 0), unit="um")
    stored = {"image": volume["image"], "heatmaps": str(tmp_path / "maps.zarr")}
    assert faults(stored) == []
    (fault,) = faults(volume, stored)
    assert fault == (
        "volumes: 'heatmaps' is an array in volumes[1], but is made from 'landmarks', which there are, too; give all "
        "volumes the one, or all the other"
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [(5, "landmarks: expected the path of a file, or a list of [z, y, x]; got 5"), ([[1]], "got [[1]]")],
)
def test_what_are_no_landmarks_is_shown(volume, value, message):
    (fault,) = faults({**volume, "landmarks": value})
    assert message in fault


def test_landmarks_without_a_target_are_a_fault(volume):
    row = {**volume, "cell": volume["image"]}
    (fault,) = faults(row, targets={"cell": {"channels": 1}})
    assert fault == (
        "volumes[0] (id 'mouse 7'): 'landmarks' has no effect: no target has kind 'points'; add one, or remove it"
    )
    with pytest.raises(ValueError, match="'landmarks' is a key of every sample and cannot be a target"):
        parse_targets({"landmarks": {"channels": 2, "kind": "points"}})


def test_landmarks_outside_of_the_image_are_told_and_kept(volume, caplog):
    with caplog.at_level(logging.WARNING):
        assert faults({**volume, "landmarks": [[1, 2, 9.25], [1, 2, 3]]}) == []
    assert (
        "mouse 7: landmarks lie beyond the outermost voxel centres of the image of [6, 8, 10] voxels: " in caplog.text
    )
    assert "'1' at [1.0, 2.0, 9.25]; check the file's coordinate system" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert faults(volume) == []
    assert not caplog.records
