"""Rows of the `volumes` table."""

import pickle

import numpy as np
import pytest
import zarr

from scripts.patches import array_keys, make_datalist, open_array, open_images, reference_key, volume_box
from scripts.volumes import create_ome_zarr, open_volume

VOLUME = {
    "image": ["a.zarr", "b.zarr"],
    "sheet": "sheet.zarr",
    "normals": "normals.zarr",
    "mask": "mask.zarr",
    "ref_label": "sheet",
    "spacing": [2.0, 1.0, 1.0],
    "region": [[0, 0, 0], [4, 4, 4]],
    "split": "train",
    "landmarks": "sheet.csv",
    "id": "a",
    "extra": {"age": 7},
}
TARGETS = {"sheet": {"channels": 1}, "distance": {"channels": 1, "kind": "scalar", "source": "sheet"}}


@pytest.fixture
def array(tmp_path):
    stored = zarr.create_array(str(tmp_path / "x.zarr"), shape=(4, 5, 6), chunks=(4, 5, 6), dtype=np.uint8)
    stored[...] = 1
    return open_volume(tmp_path / "x.zarr")


def test_array_keys_are_all_but_options_and_keys_without_value():
    assert array_keys(VOLUME) == ["image", "sheet", "normals", "mask"]
    assert array_keys({**VOLUME, "sheet": None}) == ["image", "normals", "mask"]


@pytest.mark.parametrize(
    ("volume", "given", "key"),
    [
        ({"image": "i", "normals": "n", "sheet": "s"}, None, "normals"),
        ({"image": "i", "normals": "n", "sheet": "s"}, "sheet", "sheet"),
        ({"image": "i", "normals": "n", "sheet": "s", "ref_label": "sheet"}, "normals", "sheet"),
        ({"mask": "m", "image": "i", "split": "val", "sheet": "s"}, None, "sheet"),
        ({"image": "i", "sheet": "s", "mask": "m", "ref_label": "mask"}, None, "mask"),
        ({"image": "i", "normals": None, "sheet": "s"}, None, "sheet"),
    ],
)
def test_reference_is_the_volumes_own_then_the_given_one_then_its_first_label(volume, given, key):
    assert reference_key(volume, given) == key


@pytest.mark.parametrize(
    ("volume", "given", "message"),
    [
        ({"image": "i", "mask": "m"}, None, "volume 'i' has no label array; its arrays: image, mask"),
        (
            {"image": "i", "sheet": "s"},
            "shet",
            r"volume 'i' has no array 'shet', which is its reference label \(did you mean 'sheet'\?\); its arrays: i",
        ),
        ({"image": "i", "sheet": "s", "ref_label": "split", "split": "val"}, None, "'i' has no array 'split'"),
        ({"image": "i", "sheet": "s", "normals": None}, "normals", "'i' has no array 'normals'.*arrays: image, sheet"),
    ],
)
def test_a_missing_reference_is_an_error(volume, given, message):
    with pytest.raises(ValueError, match=message):
        reference_key(volume, given)


@pytest.mark.parametrize(
    ("region", "box"),
    [
        (None, ([0, 0, 0], [4, 5, 6])),
        ([[1, 0, 2], [4, 3, 6]], ([1, 0, 2], [4, 3, 6])),
        (np.array([[0, 0, 0], [1, 1, 1]]), ([0, 0, 0], [1, 1, 1])),
        ([(1.0, 0, 0), (2.0, 5, 6)], ([1, 0, 0], [2, 5, 6])),
    ],
)
def test_the_region_is_the_box_that_may_be_used(array, region, box):
    assert volume_box({"region": region}, array) == box


@pytest.mark.parametrize("region", [[[0, 0, 0], [4, 5, 7]], [[-1, 0, 0], [4, 5, 6]], [[2, 0, 0], [2, 5, 6]]])
def test_a_region_must_lie_within_the_array(array, region):
    with pytest.raises(ValueError) as caught:
        volume_box({"region": region}, array)
    assert str(caught.value) == (
        f"region {region} of {array.path} must lie within its shape [4, 5, 6] (z y x), "
        "its first corner below its second"
    )


@pytest.mark.parametrize(
    "region",
    [
        5,
        "all",
        [0, 4],
        [[0, 0, 0]],
        [[0, 0], [4, 5]],
        [[0, 0, 0], [4, 5, "x"]],
        [[0, 0, 0.5], [4, 5, 6]],
        [[0] * 3] * 3,
    ],
)
def test_what_is_no_region_is_an_error(array, region):
    with pytest.raises(ValueError) as caught:
        volume_box({"region": region}, array)
    assert str(caught.value) == (
        "region must be two corners of whole numbers, [[z0, y0, x0], [z1, y1, x1]], the second one exclusive; "
        f"got {region!r}"
    )


def test_data_hold_what_is_loaded_and_no_more():
    patches = [{"volume": 1, "start": [4, 0, 0], "size": [4, 4, 4]}, {"volume": 0, "start": [0] * 3, "size": [4] * 3}]
    plain = {"image": "c.zarr", "sheet": "s.zarr"}
    data = make_datalist([VOLUME, plain], patches, TARGETS)
    assert data == [
        {
            "image": "c.zarr",
            "sheet": "s.zarr",
            "ref_label": "sheet",
            "volume": 1,
            "start": [4, 0, 0],
            "size": [4, 4, 4],
        },
        {
            "image": ["a.zarr", "b.zarr"],
            "sheet": "sheet.zarr",
            "mask": "mask.zarr",
            "spacing": [2.0, 1.0, 1.0],
            "ref_label": "sheet",
            "volume": 0,
            "start": [0, 0, 0],
            "size": [4, 4, 4],
        },
    ]
    assert pickle.loads(pickle.dumps(data)) == data


def test_a_mask_of_another_name_is_loaded_where_a_target_names_it():
    volume = {"image": "i", "sheet": "s", "inside": "m"}
    patches = [{"volume": 0, "start": [0] * 3, "size": [4] * 3}]
    (datum,) = make_datalist([volume], patches, {"sheet": {"channels": 1, "mask": "inside"}})
    assert datum["inside"] == "m"
    (datum,) = make_datalist([volume], patches, {"sheet": {"channels": 1}})
    assert "inside" not in datum


def test_data_say_in_which_array_labels_were_found():
    targets = {"sheet": {"channels": 1}, "cells": {"channels": 1}}
    volume = {"image": "i", "cells": "c", "sheet": "s"}
    patch = {"volume": 0, "start": [0] * 3, "size": [4] * 3, "found": [1] * 3}

    def reference(row, ref_label=None):
        (datum,) = make_datalist([row], [patch], targets, ref_label)
        assert datum["found"] == [1] * 3
        return datum.get("ref_label")

    assert reference(volume) == "cells"
    assert reference(volume, "sheet") == "sheet"
    assert reference({**volume, "ref_label": "sheet"}, "cells") == "sheet"
    assert reference({"image": "i"}) is None
    assert reference({"image": "i", "other": "o"}) is None  # not loaded


@pytest.fixture
def pyramid(tmp_path):
    data = np.random.default_rng(0).integers(0, 9, (1, 8, 8, 8)).astype(np.uint8)
    writer = create_ome_zarr(tmp_path / "pyramid.zarr", data.shape, "uint8", spacing=(1, 1, 1), levels=3)
    writer.write((0, 0, 0), data)
    return writer.finish()


def test_images_are_opened_at_exactly_the_spacing(pyramid):
    (fine,) = open_images({"image": pyramid})
    assert fine.spatial_shape == (8, 8, 8)
    for volume in open_images({"image": [pyramid, pyramid], "spacing": [2, 2, 2]}):
        assert volume.spatial_shape == (4, 4, 4)
    (exact,) = open_images({"image": pyramid, "spacing": [1.6, 1.6, 1.6]})
    assert (exact.spatial_shape, exact.spacing) == ((5, 5, 5), (1.6, 1.6, 1.6))


def test_arrays_are_opened_by_the_kind_that_their_target_says(pyramid, tmp_path):
    create_ome_zarr(tmp_path / "n.zarr", (3, 8, 8, 8), "float32", spacing=(1, 1, 1))
    row = {"image": pyramid, "depth": pyramid, "mask": pyramid, "sheet": pyramid, "normals": str(tmp_path / "n.zarr")}
    targets = {
        "sheet": {"channels": 1, "mask": "mask"},
        "depth": {"channels": 1, "kind": "scalar"},
        "normals": {"channels": 3, "kind": "normal"},
    }
    exact = {**row, "spacing": [1.6, 1.6, 1.6]}
    modes = {key: open_array(exact, key, targets).mode for key in row}
    assert modes == {
        "image": "linear",
        "depth": "linear",
        "mask": "nearest",
        "sheet": "nearest",
        "normals": "normal",
    }
    assert {key: open_array(exact, key).mode for key in ("depth", "mask", "normals")} == {
        "depth": "nearest",  # integers
        "mask": "nearest",
        "normals": "linear",
    }
    assert {open_array(row, key, targets).spatial_shape for key in row} == {(8, 8, 8)}


def test_arrays_lie_on_the_grid_of_the_image(pyramid, tmp_path):
    crop = create_ome_zarr(tmp_path / "crop.zarr", (1, 8, 8, 8), "uint8", spacing=(0.5,) * 3, translation=(2.75,) * 3)
    row = {"image": pyramid, "sheet": str(tmp_path / "crop.zarr"), "spacing": [1, 1, 1]}
    crop.write((0, 0, 0), np.ones((1, 8, 8, 8), np.uint8))
    label = open_array(row, "sheet")
    assert label.spatial_shape == (8, 8, 8)
    assert label.padding((0, 0, 0), (8, 8, 8)) == ((3, 1),) * 3
    assert volume_box({"region": [[0, 0, 0], [8, 8, 8]]}, label) == ([0, 0, 0], [8, 8, 8])
    (image,) = open_images(row)
    assert open_array(row, "image", image=image) is image
    again = open_array(row, "sheet", image=image)
    assert np.unique(again.read((0, 0, 0), (8, 8, 8)).nonzero()).tolist() == [0, 3, 4, 5, 6]  # 0: the channel


def test_a_row_with_shape_is_opened_at_so_many_voxels(tmp_path):
    image = np.arange(32, dtype=np.float32) * np.ones((8, 16, 1), np.float32)
    label = (image >= 16).astype(np.uint8)
    paths = {}
    for key, data in (("image", image), ("sheet", label)):
        writer = create_ome_zarr(tmp_path / f"{key}.zarr", (1, 8, 16, 32), data.dtype, spacing=(2, 1, 1), unit="um")
        writer.write((0, 0, 0), data[None])
        paths[key] = str(writer.finish())
    row = {**paths, "shape": [4, 16, 8], "ref_label": "sheet"}
    assert array_keys(row) == ["image", "sheet"]
    (opened,) = open_images(row)
    assert opened.spatial_shape == open_array(row, "image").spatial_shape == (4, 16, 8)
    assert opened.spacing == (4, 1, 4)
    assert opened.read((0, 0, 0), (1, 1, 8))[0, 0, 0].tolist() == [1.5, 5.5, 9.5, 13.5, 17.5, 21.5, 25.5, 29.5]
    sheet = open_array(row, "sheet", TARGETS)
    assert sheet.dtype == np.uint8
    assert sheet.read((0, 0, 0), (4, 16, 8))[0, 3, 15].tolist() == [0] * 4 + [1] * 4
    assert volume_box(row, opened) == ([0, 0, 0], [4, 16, 8])
    patch = {"volume": 0, "start": [0, 0, 0], "size": [2, 2, 2]}
    assert make_datalist([row], [patch], TARGETS)[0]["shape"] == [4, 16, 8]
    turned = {**row, "axes": "xzy"}
    assert open_images(turned)[0].spatial_shape == (8, 4, 16)
    assert make_datalist([turned], [patch], TARGETS)[0]["shape"] == [8, 4, 16]
