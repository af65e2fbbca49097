"""Colours, contrast and the place where the view starts."""

import numpy as np
import pytest

from scripts.geometry import Target
from scripts.viewers import open_layers, target_colours
from scripts.viewers.neuroglancer_state import page_state
from scripts.volumes import NORMAL_INT8, Encoding, create_ome_zarr


def write(path, array, **options):
    options = {"spacing": (8, 4, 4), "translation": (16, 4, 40), "unit": "nm"} | options
    writer = create_ome_zarr(path, array.shape, array.dtype, **options)
    writer.write((0, 0, 0), array, aligned=False)
    writer.finish()
    return path


@pytest.fixture
def scan(tmp_path):
    return write(tmp_path / "scan.zarr", np.random.default_rng(0).normal(100, 9, (1, 10, 20, 41)).astype("float32"))


def layer(path, kind=None):
    layers = open_layers([path], {path.stem: kind} if kind else None)
    return page_state(layers)["layers"][0]


def test_the_view_starts_in_the_middle_and_fits(scan):
    state = page_state(open_layers([scan]), title="a scan")
    assert state["dimensions"] == {"x": [4e-9, "m"], "y": [4e-9, "m"], "z": [8e-9, "m"]}
    assert state["position"] == [20 + 10, 10 + 1, 5 + 2]  # x y z; translation in voxels is 10, 1, 2
    assert state["crossSectionScale"] == pytest.approx(41 / 320)
    assert state["layout"] == "4panel"
    assert state["title"] == "a scan"


def test_a_place_that_is_asked_for(scan):
    assert page_state(open_layers([scan]), (1, 2, 3))["position"] == [13, 3, 3]
    with pytest.raises(
        ValueError, match=r"position: the voxel \[1, 20, 3\] lies outside of .*which has \(10, 20, 41\)"
    ):
        page_state(open_layers([scan]), (1, 20, 3))


def test_one_slice_fills_the_page(tmp_path):
    state = page_state(open_layers([write(tmp_path / "v.zarr", np.zeros((1, 1, 64, 32), "f4"), unit=None)]))
    assert state["layout"] == "xy"
    assert state["crossSectionScale"] == pytest.approx(64 / 640)
    assert state["dimensions"]["x"] == [4, ""]


def test_images_are_grey_between_percentiles_and_only_the_first_is_visible(scan, tmp_path):
    values = np.zeros((1, 10, 20, 41), "uint16")
    values[:, :5] = 1000
    values[0, 9, 0, 0] = 60000  # an outlier
    write(tmp_path / "other.zarr", values)
    first, second = page_state(open_layers([scan, tmp_path / "other.zarr"], {"other": "image"}))["layers"]
    low, high = first["shaderControls"]["normalized"]["range"]
    assert low == pytest.approx(100 - 2.576 * 9, abs=1)  # normal distribution: 0.5 % are beyond 2.576 deviations
    assert high == pytest.approx(100 + 2.576 * 9, abs=1)
    assert second["shaderControls"]["normalized"]["range"] == [0, 1000]
    assert "visible" not in first
    assert second["visible"] is False


def test_the_noise_that_coarser_levels_lack_is_within_the_contrast(tmp_path):
    values = np.random.default_rng(0).normal(100, 9, (1, 32, 32, 32)).astype("float32")
    low, high = layer(write(tmp_path / "v.zarr", values, spacing=(1, 1, 1), levels=3))["shaderControls"]["normalized"][
        "range"
    ]
    assert (low, high) == pytest.approx((100 - 2.576 * 9, 100 + 2.576 * 9), abs=1)


def test_an_empty_middle_does_not_count_for_the_contrast(tmp_path):
    values = np.full((1, 2, 2, 256), 100, "uint8")
    values[..., :60], values[..., 196:] = 50, 200
    state = layer(write(tmp_path / "v.zarr", values, spacing=(1, 1, 1), levels=2), "image")
    assert state["shaderControls"]["normalized"]["range"] == [50, 200]


@pytest.mark.parametrize(("value", "expected"), [(7, [7, 8]), (np.nan, [0, 1])])
def test_images_without_contrast(tmp_path, value, expected):
    state = layer(write(tmp_path / "v.zarr", np.full((1, 4, 4, 4), value, "float32")))
    assert state["shaderControls"]["normalized"]["range"] == expected


@pytest.mark.parametrize(
    ("dtype", "encoding", "expected"),
    [
        ("uint8", Encoding(scale=1 / 255), [0, 255]),
        ("uint8", None, [0, 255]),
        ("float32", None, [0, 1]),
        ("int16", Encoding(scale=0.001, offset=0.5), [-500, 500]),
    ],
)
def test_probabilities_go_from_0_to_1(tmp_path, dtype, encoding, expected):
    attributes = encoding.as_attributes() if encoding else {}
    state = layer(write(tmp_path / "p.zarr", np.ones((1, 4, 4, 4), dtype), attributes=attributes), "probability")
    assert state["shaderControls"]["probability"]["range"] == pytest.approx(expected)


def test_probabilities_have_colours_of_their_own(tmp_path):
    paths = [write(tmp_path / f"{name}.zarr", np.ones((1, 4, 4, 4), "f4")) for name in "ab"]
    states = page_state(open_layers(paths, {"a": "probability", "b": "probability"}))["layers"]
    red, other = (state["shaderControls"]["colour"] for state in states)
    assert red == "#ff3030"
    assert other != red


def test_classes_have_the_colours_of_previews_and_instances_random_ones(tmp_path):
    path = write(tmp_path / "v.zarr", np.ones((1, 4, 4, 4), "uint8"))
    colours = layer(path, "labels")["segmentColors"]
    shown = target_colours(np.array([1, 2, 8, 255]).reshape(1, 1, 1, 4), Target("v", channels=9))[0, 0]
    for number, colour in zip(("1", "2", "8", "255"), shown, strict=True):
        assert colours[number] == "#{:02x}{:02x}{:02x}".format(*colour)
    assert "0" not in colours
    assert "segmentColors" not in layer(path, "instances")


def test_the_name_of_normals_is_their_legend(tmp_path):
    path = write(tmp_path / "n.zarr", np.ones((3, 4, 4, 4), "int8"), attributes=NORMAL_INT8.as_attributes())
    assert layer(path)["name"] == "n (red |x|, green |y|, blue |z|)"


def test_of_several_channels_the_first_that_is_not_background_is_shown(tmp_path):
    path = write(tmp_path / "v.zarr", np.ones((4, 4, 4, 4), "float32"))
    assert layer(path)["localPosition"] == [0]
    assert layer(path, "probability")["localPosition"] == [1]
