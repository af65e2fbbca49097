"""Rows of the `volumes` table."""

import pickle

import numpy as np
import pytest
import zarr

from scripts.patches import array_keys, make_datalist, reference_key, volume_box
from scripts.volumes import open_volume

VOLUME = {
    "image": ["a.zarr", "b.zarr"],
    "sheet": "sheet.zarr",
    "normals": "normals.zarr",
    "mask": "mask.zarr",
    "ref_label": "sheet",
    "spacing": [2.0, 1.0, 1.0],
    "region": [[0, 0, 0], [4, 4, 4]],
    "split": "train",
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
        {"image": "c.zarr", "sheet": "s.zarr", "volume": 1, "start": [4, 0, 0], "size": [4, 4, 4]},
        {
            "image": ["a.zarr", "b.zarr"],
            "sheet": "sheet.zarr",
            "mask": "mask.zarr",
            "spacing": [2.0, 1.0, 1.0],
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
