"""Every fault of a `volumes` table, one at a time, in the words that a person reads."""

import pytest
import zarr

from scripts.patches import volume_faults
from scripts.volumes import create_ome_zarr

TARGETS = {
    "sheet": {"channels": 1},
    "normals": {"channels": 3, "kind": "normal"},
    "distance": {"channels": 1, "kind": "scalar", "source": "sheet"},
}
SHAPE = (8, 9, 10)


def store(path, channels=1, shape=SHAPE, **kwargs):
    create_ome_zarr(path, (channels, *shape), "uint8", spacing=(2, 1, 1), **kwargs)
    return str(path)


@pytest.fixture
def volume(tmp_path):
    return {
        "image": store(tmp_path / "raw.zarr"),
        "sheet": store(tmp_path / "sheet.zarr"),
        "normals": store(tmp_path / "normals.zarr", 3),
    }


MASKED = {**TARGETS, "sheet": {"channels": 1, "mask": "mask"}}


def only_fault(volume, targets=TARGETS, in_channels=1):
    (fault,) = volume_faults([volume], targets, in_channels)
    assert fault.startswith("volumes[0]: ")
    return fault.removeprefix("volumes[0]: ")


def test_a_good_table_has_none(volume, tmp_path):
    options = {
        "mask": store(tmp_path / "mask.zarr"),
        "ref_label": "sheet",
        "spacing": [2, 1, 1],
        "region": [[0, 0, 0], [8, 9, 10]],
        "split": "val",
    }
    assert volume_faults([volume, {**volume, **options}], MASKED, 1) == []
    unused = volume_faults([{**volume, "mask": options["mask"]}], TARGETS, 1)
    assert unused == ['volumes[0]: \'mask\' has no effect: no target says "mask": "mask"; name it there, or remove it']
    assert volume_faults((volume,), TARGETS) == []


@pytest.mark.parametrize("table", [[], None, "volumes.json", {"image": "x"}, 5])
def test_the_table_must_be_a_list(table):
    said = f'volumes: expected a list such as [{{"image": PATH, "<target>": PATH}}], got {table!r}'
    assert volume_faults(table, TARGETS) == [said]


def test_a_row_must_be_a_dictionary(volume):
    assert volume_faults([volume, "raw.zarr"], TARGETS, 1) == [
        "volumes[1]: expected a dictionary of paths, got 'raw.zarr'"
    ]


@pytest.mark.parametrize("key", ["image", "sheet"])
def test_a_path_that_does_not_exist(volume, tmp_path, key):
    path = tmp_path / "lost" / "x.zarr"
    said = only_fault({**volume, key: str(path)})
    assert said == f"{key}: {path} does not exist; the nearest folder that does is {tmp_path}"


def test_a_group_where_an_array_is_meant(volume, tmp_path):
    zarr.create_group(str(tmp_path / "group"))
    inner = store(tmp_path / "group" / "inner.zarr")
    said = only_fault({**volume, "sheet": str(tmp_path / "group")})
    assert said.startswith(f"sheet: {tmp_path / 'group'} is a zarr group without OME-Zarr image (no 'multiscales')")
    assert "expected an array or an image; name one of the things inside: " in said
    assert inner in said


def test_a_level_that_does_not_exist(volume):
    said = only_fault({**volume, "sheet": f"{volume['sheet']}::4"})
    assert said.startswith(f"sheet: {volume['sheet']}: level 4 does not exist; levels are 0")


def test_different_shapes(volume, tmp_path):
    other = store(tmp_path / "small.zarr", shape=(8, 9, 5))
    assert only_fault({**volume, "sheet": other}) == (
        f"sheet: {other} has shape (8, 9, 5), the image {volume['image']} has (8, 9, 10) (z y x); all arrays of a "
        "volume share one grid: pick the matching pyramid level with PATH::LEVEL, or give the volume a 'spacing', at "
        "which all are read, placed by the physical position that their stores state"
    )
    assert volume_faults([{**volume, "sheet": other, "spacing": [2, 1, 1]}], TARGETS, 1) == []


def test_arrays_that_cannot_be_placed(volume, tmp_path):
    image = volume["image"]
    far = store(tmp_path / "far.zarr", translation=(100, 0, 0))
    said = only_fault({**volume, "sheet": far, "spacing": [2, 1, 1]})
    assert said == (
        f"sheet: {far} lies at z 99 to 115, y -0.5 to 8.5, x -0.5 to 9.5, wholly outside of the grid at z -1 to 15, "
        "y -0.5 to 8.5, x -0.5 to 9.5 on which it is to be placed; check spacing, translation and unit that the two "
        "state"
    )
    zarr.create_array(str(tmp_path / "plain.zarr"), shape=(4, 4, 4), dtype="uint8")
    said = only_fault({**volume, "sheet": str(tmp_path / "plain.zarr"), "spacing": [2, 1, 1]})
    assert said.startswith(f"sheet: {tmp_path / 'plain.zarr'} has shape (4, 4, 4), the image {image} has (8, 9, 10)")


def test_arrays_of_one_volume_in_different_units(tmp_path):
    nm, um = store(tmp_path / "nm.zarr", unit="nm"), store(tmp_path / "um.zarr", unit="um")
    targets = {"sheet": {"channels": 1}}
    assert volume_faults([{"image": nm, "sheet": um}], targets, 1) == []  # one shared grid, wherever it may be
    assert only_fault({"image": nm, "sheet": um, "spacing": [2, 1, 1]}, targets) == (
        f"sheet: {um} is in um, the image {nm} in nm: arrays are placed by physical position, which needs one unit; "
        "write one of them anew with 'python -m scripts convert IN OUT --spacing z,y,x --unit nm'"
    )


def test_volumes_in_different_units(tmp_path):
    paths = {unit: store(tmp_path / f"{unit}.zarr", unit=unit) for unit in ("nm", "um", None)}
    rows = [{"image": paths[unit], "sheet": paths[unit]} for unit in ("nm", "nm", "um", None)]
    said = (
        "volumes: volumes[0] is in nm, volumes[2] is in um: spacings compare only in one unit, in which the network is "
        "planned and distances are measured; state one unit in all stores ('python -m scripts convert IN OUT --spacing "
        "z,y,x --unit nm' writes a store anew)"
    )
    assert volume_faults(rows, {"sheet": {"channels": 1}}, 1) == [said]
    assert volume_faults(rows[1:2] + rows[3:], {"sheet": {"channels": 1}}, 1) == []


@pytest.mark.parametrize("key", ["mask", "image"])
def test_masks_and_further_images_share_the_grid_too(volume, tmp_path, key):
    other = store(tmp_path / "small.zarr", shape=(4, 4, 4))
    changed = {**volume, key: other if key == "mask" else [volume["image"], other]}
    said = only_fault(changed, MASKED, in_channels=2 if key == "image" else 1)
    assert said.startswith(f"{key}: {other} has shape (4, 4, 4), the image {volume['image']} has (8, 9, 10) (z y x)")


@pytest.mark.parametrize(
    ("key", "channels", "expected"),
    [
        ("sheet", 2, "expected 1: a label holds one class per voxel"),
        ("mask", 3, "expected 1: a label holds one class per voxel"),
        ("normals", 1, "expected 3: the target has channels = 3"),
    ],
)
def test_wrong_number_of_channels(volume, tmp_path, key, channels, expected):
    path = store(tmp_path / "wrong.zarr", channels)
    assert only_fault({**volume, key: path}, MASKED) == f"{key}: {path} has {channels} channels, {expected}"


def test_a_label_of_many_classes_is_stored_in_one_channel(volume):
    assert volume_faults([volume], {**TARGETS, "sheet": {"channels": 5}}, 1) == []


def test_the_network_takes_other_channels_than_the_image_has(volume, tmp_path):
    second = store(tmp_path / "second.zarr", 2)
    message = f"image {volume['image']} has 3 channels, the network takes in_channels = 1"
    stacked = {**volume, "image": [volume["image"], second]}
    assert only_fault(stacked) == message
    assert volume_faults([stacked], TARGETS, 3) == []
    assert volume_faults([stacked], TARGETS, None) == []


def test_an_unknown_key_names_both_lists(volume):
    said = only_fault({**volume, "shet": volume["sheet"]})
    assert said == (
        "'shet' is no target and no key of a volume (did you mean 'sheet'?); targets read: sheet, normals; "
        "other keys: image, mask, ref_label, spacing, shape, region, split, axes, points, landmarks, id, extra"
    )


def test_a_key_of_a_target_that_is_derived(volume):
    said = only_fault({**volume, "distance": volume["sheet"]})
    assert said.startswith("'distance' is a target that is derived from 'sheet', so that no volume carries it; ")


def test_a_target_that_no_volume_carries(volume):
    faults = volume_faults([{k: v for k, v in volume.items() if k != "normals"}], TARGETS, 1)
    said = (
        "targets: normals: no volume carries 'normals'; the volumes carry: sheet. Add its path, remove the target, or "
        "name in 'source' the key that it is derived from"
    )
    assert faults == [said]


def test_a_derived_target_needs_its_source(volume):
    table = {"sheet": {"channels": 1}, "depth": {"channels": 1, "kind": "scalar", "source": "shet"}}
    faults = volume_faults([{"image": volume["image"], "sheet": volume["sheet"]}], table, 1)
    assert [fault.split(";")[0] for fault in faults] == [
        "targets: depth: no volume carries 'shet' (did you mean 'sheet'?)"
    ]


def test_a_target_that_only_some_volumes_carry_is_no_fault(volume):
    without = {"image": volume["image"], "sheet": volume["sheet"], "normals": None}
    assert volume_faults([without, volume], TARGETS, 1) == []


@pytest.mark.parametrize("image", [None, "absent"])
def test_a_volume_without_image(volume, image):
    changed = {**volume, "image": None}
    if image == "absent":
        del changed["image"]
    assert only_fault(changed) == f"has no 'image'; its keys: {', '.join(changed)}"


def test_an_empty_list_of_images(volume):
    said = "image: expected a path, or a list of paths that are stacked as channels; got an empty list"
    assert only_fault({**volume, "image": []}) == said


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ([[0, 0, 0], [8, 9, 11]], r"region [[0, 0, 0], [8, 9, 11]] of {image} must lie within its shape [8, 9, 10]"),
        ([[4, 0, 0], [2, 9, 10]], r"region [[4, 0, 0], [2, 9, 10]] of {image} must lie within its shape [8, 9, 10]"),
        ([[0, 0, 0]], "region must be two corners of whole numbers, [[z0, y0, x0], [z1, y1, x1]], the second one"),
    ],
)
def test_a_bad_region(volume, region, said):
    assert only_fault({**volume, "region": region}).startswith(said.replace("{image}", volume["image"]))


@pytest.mark.parametrize("spacing", [0, [1, 1], [1, 0, 1], [1, -1, 1]])
def test_a_bad_spacing(volume, spacing):
    said = only_fault({**volume, "spacing": spacing})
    assert said.startswith(f"image: {volume['image']}: spacing: expected three")
    assert said.endswith(f"got {spacing!r}")


@pytest.mark.parametrize("split", ["valid", "test", 0])
def test_a_bad_split(volume, split):
    assert only_fault({**volume, "split": split}) == f"split must be one of train, val; got {split!r}"


@pytest.mark.parametrize(("name", "hint"), [("shet", " (did you mean 'sheet'?)"), ("papyrus", ""), ("ref_label", "")])
def test_a_reference_label_that_is_missing(volume, name, hint):
    assert only_fault({**volume, "ref_label": name}) == (
        f"ref_label '{name}' is no array of this volume{hint}; its arrays: image, sheet, normals"
    )


def test_all_faults_of_all_volumes_at_once(volume):
    table = [{**volume, "splt": 1, "split": "x"}, {**volume, "sheet": "/no/x.zarr", "region": [[0] * 3, [99] * 3]}]
    faults = volume_faults(table, TARGETS, 2)
    assert [fault.partition(": ")[0] for fault in faults] == ["volumes[0]"] * 3 + ["volumes[1]"] * 3
