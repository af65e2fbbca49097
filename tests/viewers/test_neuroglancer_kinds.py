"""As what a volume is shown."""

import numpy as np
import pytest

from scripts.geometry import parse_targets
from scripts.inferers.outputs import output_format
from scripts.viewers.neuroglancer_kinds import LayerKind, checked_kind, layer_kind
from scripts.volumes import NORMAL_INT8, NORMAL_UINT16, Encoding, create_ome_zarr, open_volume


def stored(path, array, **options):
    """Write an array C D H W and open its finest and its coarsest level."""
    writer = create_ome_zarr(path, array.shape, array.dtype, spacing=(1, 1, 1), **options)
    writer.write((0, 0, 0), array, aligned=False)
    writer.finish()
    return open_volume(path), open_volume(path, level=writer.levels - 1)


def noise(dtype="uint8", shape=(1, 8, 32, 32), low=1, high=200):
    return np.random.default_rng(0).integers(low, high, shape).astype(dtype)


def blocks(dtype="uint8", step=8, first=1):
    """A number for every block of 8^3 voxels, 64 blocks."""
    z, y, x = np.indices((16, 32, 128)) // step
    return (first + z * 64 + y * 16 + x).astype(dtype)[None]


@pytest.mark.parametrize(
    ("target", "options", "expected"),
    [
        ({"channels": 1}, {}, "probability"),
        ({"channels": 1}, {"threshold": 0.5}, "labels"),
        ({"channels": 4}, {}, "labels"),
        ({"channels": 4}, {"class_output": "probabilities"}, "probability"),
        ({"channels": 3, "kind": "normal"}, {}, "normals"),
        ({"channels": 3, "kind": "vector"}, {}, "normals"),
        ({"channels": 2, "kind": "vector"}, {}, "image"),
        ({"channels": 1, "kind": "scalar"}, {}, "image"),
    ],
)
def test_what_inference_writes_says_its_kind(tmp_path, target, options, expected):
    form = output_format(parse_targets({"made": target})["made"], **options)
    array = noise(form.dtype, (form.channels, 8, 32, 32), high=100)
    volumes = stored(tmp_path / "made.zarr", array, attributes=form.store_attributes())
    assert layer_kind(*volumes) == expected


@pytest.mark.parametrize(
    ("encoding", "dtype", "channels", "expected"),
    [
        (NORMAL_INT8, "int8", 3, "normals"),
        (NORMAL_UINT16, "uint16", 3, "normals"),
        (Encoding(scale=1 / 255), "uint8", 1, "probability"),
        (Encoding(scale=1 / 65535), "uint16", 1, "probability"),
        (Encoding(scale=0.1), "uint8", 1, "image"),
    ],
)
def test_an_encoding_says_the_kind(tmp_path, encoding, dtype, channels, expected):
    array = noise(dtype, (channels, 8, 32, 32), high=100)
    assert layer_kind(*stored(tmp_path / "v.zarr", array, attributes=encoding.as_attributes())) == expected


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (noise("uint8"), "image"),
        (noise("uint16", high=4000), "image"),
        (noise("float32"), "image"),
        (noise("uint32"), "instances"),
        (noise("uint32", high=16), "labels"),
        (noise("bool", low=0, high=2), "labels"),
        (blocks("uint8", step=32), "labels"),
        (blocks("uint16"), "instances"),
        (blocks("uint16", step=32, first=300), "instances"),
        (np.zeros((1, 8, 8, 8), np.uint8), "image"),
    ],
    ids=lambda value: str(getattr(value, "dtype", value)),
)
def test_else_type_and_numbers_say_it(tmp_path, array, expected):
    assert layer_kind(*stored(tmp_path / "v.zarr", array)) == expected


def test_a_pyramid_of_most_frequent_values_holds_labels(tmp_path):
    assert layer_kind(*stored(tmp_path / "v.zarr", noise(high=3), downsample="mode")) == "labels"


def test_an_image_label_of_ome_zarr_is_one(tmp_path):
    volume = stored(tmp_path / "v.zarr", noise(), attributes={"image-label": {}}, version="0.4")[0]
    assert layer_kind(volume, volume) == "instances"


def test_labels_far_from_the_middle_are_found_in_the_coarsest_level(tmp_path):
    array = np.zeros((1, 2, 64, 400), np.uint8)
    array[..., :60] = 7
    finest, coarsest = stored(tmp_path / "v.zarr", array, levels=4)
    assert layer_kind(finest, finest) == "image"
    assert layer_kind(finest, coarsest) == "labels"


LABELS = ["em_fibsem/medulla250_bodies.tif", "nuclei3d/stardist_mask3d.tif", "nuclei3d/ovule_cells_label.tif",
          "nuclei3d/mouse_embryo_8cell_markers.tif", "ome_zarr/6001240_labels_v0.5.zarr/labels/0",
          "hippocampus/labels/hippocampus_001.nii.gz"]  # fmt: skip
IMAGES = ["em_fibsem/medulla250_raw.tif", "nuclei3d/stardist_img3d.tif", "nuclei3d/ovule_cells_raw.tif",
          "nuclei3d/mouse_embryo_8cell_raw.tif", "ome_zarr/6001240_labels_v0.5.zarr",
          "hippocampus/images/hippocampus_001.nii.gz", "landmarks3d/aligned/TALLYHO_JNGJ_.nii.gz"]  # fmt: skip


@pytest.mark.real_data
@pytest.mark.parametrize("name", LABELS + IMAGES)
def test_real_volumes_are_what_they_are(real_data, name):
    volume = open_volume(real_data / name)
    assert layer_kind(volume, volume).is_segmentation == (name in LABELS)


def test_a_kind_that_is_asked_for(tmp_path):
    volume = stored(tmp_path / "v.zarr", noise())[0]
    assert checked_kind("instances", volume, "v") is LayerKind.INSTANCES


@pytest.mark.parametrize(
    ("kind", "dtype", "message"),
    [
        ("label", "uint8", r"v: expected one of image, .*, got 'label' \(did you mean 'labels'\?\)"),
        (3, "uint8", "v: expected one of .*, got 3"),
        ("labels", "float32", "v: labels are whole numbers, but .*v.zarr holds float32"),
        ("normals", "int8", r"normals have 3 channels \(z, y, x\), but .*v.zarr has 1"),
    ],
)
def test_a_kind_that_does_not_fit(tmp_path, kind, dtype, message):
    volume = stored(tmp_path / "v.zarr", noise(dtype, high=100))[0]
    with pytest.raises(ValueError, match=message):
        checked_kind(kind, volume, "v")
