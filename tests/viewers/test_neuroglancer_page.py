"""What a browser shows: pictures of headless Chromium against what NumPy says that they must be."""

import socket
import sys

import numpy as np
import pytest
import tifffile
from tests.viewers.neuroglancer_browser import CHROMIUM, EDGE, NO_BROWSER, Browser

pytest.importorskip("neuroglancer", reason="the extra `view` is not installed")

from scripts.geometry import Target
from scripts.viewers import NeuroglancerPage, open_layers, target_colours
from scripts.viewers.neuroglancer_state import NORMALS_LEGEND
from scripts.volumes import NORMAL_INT8, NORMAL_UINT16, Encoding, create_ome_zarr, encode

SHAPE = (20, 30, 40)
PLACE = (5, 12, 17)
NORMALS = [f"{name} ({NORMALS_LEGEND})" for name in ("normals", "normals16")]

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)


def write(path, array, coarser=None, **options):
    """An image C D H W, whose second level holds `coarser` instead of what it should."""
    options = {"spacing": (8, 4, 4), "translation": (80, -8, 0), "unit": "nm"} | options
    options["levels"] = 1 if coarser is None else 2
    writer = create_ome_zarr(path, array.shape, array.dtype, **options)
    writer.write((0, 0, 0), array, aligned=False)
    writer.finish()
    if coarser is not None:
        level = create_ome_zarr(path.with_suffix(".coarser"), coarser.shape, coarser.dtype, **(options | {"levels": 1}))
        level.write((0, 0, 0), coarser, aligned=False)
        (path / "1").rename(path / "made")
        (path.with_suffix(".coarser") / "0").rename(path / "1")


def classes():
    """Blocks of 4^3 voxels with classes 0 to 3, no two planes alike."""
    z, y, x = np.indices(SHAPE) // 4
    return ((z + 2 * y + 3 * x + x * y) % 4)[None]


def directions():
    """Unit vectors z y x, none in a corner."""
    vectors = np.random.default_rng(1).normal(size=(3, *SHAPE))
    vectors /= np.linalg.norm(vectors, axis=0)
    vectors[:, :, :, :10] = 0
    return vectors


@pytest.fixture(scope="module")
def made():
    """What the stores hold."""
    rng = np.random.default_rng(0)
    return {
        "raw": rng.integers(0, 256, (1, *SHAPE)).astype("uint8"),
        "coarse": rng.integers(0, 256, (1, 20, 15, 20)).astype("uint8"),
        "probability": rng.integers(0, 256, (1, *SHAPE)).astype("uint8"),
        "classes": classes().astype("uint16"),
        "ids": (classes().astype("uint64") + 2**60) * (classes() > 0).astype("uint64"),
        "normals": encode(directions(), NORMAL_INT8, "int8"),
        "half": rng.random((2, *SHAPE)).astype("float16"),
    }


@pytest.fixture(scope="module")
def browser(made, tmp_path_factory):
    """A browser on a page with a store of every kind."""
    folder = tmp_path_factory.mktemp("page")
    write(folder / "raw.zarr", made["raw"], made["coarse"], shards=(32, 32, 32), chunks=(16, 16, 16))
    write(folder / "probability.zarr", made["probability"], attributes=Encoding(scale=1 / 255).as_attributes())
    write(folder / "classes.zarr", made["classes"], version="0.4", downsample="mode", chunks=(8, 16, 16))
    # half the voxels' size: eight voxels lie where one of the others does
    ids = made["ids"].repeat(2, axis=1).repeat(2, axis=2).repeat(2, axis=3)
    write(folder / "ids.zarr", ids, spacing=(4, 2, 2), translation=(78, -9, -1), downsample="mode")
    write(folder / "normals.zarr", made["normals"], attributes=NORMAL_INT8.as_attributes())
    form = NORMAL_UINT16.as_attributes()
    write(folder / "normals16.zarr", encode(directions(), NORMAL_UINT16, "uint16"), attributes=form)
    write(folder / "half.zarr", made["half"], version="0.4")
    tifffile.imwrite(folder / "page.tif", made["raw"][0])
    stores = [folder / f"{name}.zarr" for name in (*made, "normals16") if name != "coarse"]
    with (
        NeuroglancerPage(open_layers([*stores, folder / "page.tif"]), position=PLACE) as page,
        Browser(page) as browser,
    ):
        yield browser


def shown(array, layout="xy", pixels=(32, 16, 16)):
    """The numbers that a panel around `PLACE` shows of an array D H W, NaN outside.

    Args:
        pixels: that a voxel is long along z, y, x.
    """
    outside = np.pad(array.astype(float), 1, constant_values=np.nan)
    steps = np.arange(EDGE) + 0.5 - EDGE / 2
    z, y, x = (
        np.clip(np.floor(at + steps / edge + 0.5).astype(int), -1, n) + 1
        for at, edge, n in zip(PLACE, pixels, array.shape, strict=True)
    )
    at_z, at_y, at_x = (at + 1 for at in PLACE)
    if layout == "xy":
        return outside[at_z][np.ix_(y, x)]
    if layout == "xz":
        return outside[:, at_y][np.ix_(z, x)]
    return outside[:, :, at_x].T[np.ix_(y, z[::-1])]  # neuroglancer looks along -x: z grows to the left


def layer_state(browser, name):
    (layer,) = [layer for layer in browser.first_state["layers"] if layer["name"] == name]
    return layer


def grey(array, browser, name):
    """Grey values of the numbers of a layer, black outside."""
    low, high = layer_state(browser, name)["shaderControls"]["normalized"]["range"]
    return np.nan_to_num(np.clip((array - low) / (high - low), 0, 1))[..., None] * 255


def assert_alike(picture, expected):
    """Equal to rounding, but for a few pixels that lie on an edge."""
    assert picture.std() > 20
    difference = np.abs(picture.astype(float) - expected)
    assert np.percentile(difference, 98) <= 2, f"mean difference {difference.mean()}"


@needs_browser
@pytest.mark.parametrize("layout", ["xy", "xz", "yz"])
def test_an_image_is_shown_voxel_by_voxel_and_the_right_way_round(browser, made, layout):
    picture = browser.picture(["raw"], layout, crossSectionScale=1 / 16)
    assert_alike(picture, grey(shown(made["raw"][0], layout), browser, "raw"))


@needs_browser
def test_a_coarser_level_is_shown_where_its_voxels_are_as_large_as_pixels(browser, made):
    picture = browser.picture(["raw"], crossSectionScale=2)
    # column c is the coarse voxel around x = 17 + 2 (c + 1/2 - 200), which is number c - 191; rows likewise from y = 12
    found = picture[194 : 194 + 15, 191 : 191 + 20]
    expected = grey(made["coarse"][0, PLACE[0]], browser, "raw")
    assert_alike(found, expected)


@needs_browser
def test_a_tiff_lies_where_the_scan_lies(browser, made):
    picture = browser.picture(["page"], crossSectionScale=1 / 16)
    assert_alike(picture, grey(shown(made["raw"][0]), browser, "page"))


@needs_browser
@pytest.mark.parametrize("channel", [0, 1])
def test_a_type_that_the_client_lacks_and_its_channels(browser, made, channel):
    layers = [layer_state(browser, "half") | {"localPosition": [channel]}]
    assert layer_state(browser, "half")["localPosition"] == [0]
    picture = browser.picture(["half"], crossSectionScale=1 / 16, layers=layers)
    assert_alike(picture, grey(shown(made["half"][channel]), browser, "half"))


@needs_browser
def test_probabilities_are_red_alone_and_over_the_scan(browser, made):
    strength = np.sqrt(np.nan_to_num(shown(made["probability"][0]))[..., None] / 255)
    red = np.array([255, 48, 48])
    assert_alike(browser.picture(["probability"], crossSectionScale=1 / 16), strength * red)
    scan = grey(shown(made["raw"][0]), browser, "raw")
    picture = browser.picture(["raw", "probability"], crossSectionScale=1 / 16)
    assert_alike(picture, scan * (1 - strength / 2) + red * strength**2 / 2)


@needs_browser
def test_classes_have_their_colours_and_the_scan_is_seen_through_them(browser, made):
    number = shown(made["classes"][0])
    colours = target_colours(np.arange(4.0).reshape(1, 1, 1, 4), Target("classes", channels=4))[0, 0]
    expected = np.where(np.isnan(number)[..., None], 0, colours[np.nan_to_num(number).astype(int)])
    assert_alike(browser.picture(["classes"], crossSectionScale=1 / 16), expected)
    scan = grey(shown(made["raw"][0]), browser, "raw")
    picture = browser.picture(["raw", "classes"], crossSectionScale=1 / 16)
    assert_alike(picture, np.where(number[..., None] > 0, 0.6 * scan + 0.4 * expected, scan))


@needs_browser
def test_instances_of_half_the_voxel_size_have_a_colour_each_where_they_lie(browser, made):
    picture = browser.picture(["ids"], crossSectionScale=1 / 16)
    number = np.nan_to_num(shown(made["classes"][0]))
    colours = [np.unique(picture[number == n], axis=0, return_counts=True) for n in range(4)]
    common = [values[counts.argmax()].tolist() for values, counts in colours]
    assert [counts.max() / counts.sum() > 0.98 for _, counts in colours] == [True] * 4
    assert common[0] == [0, 0, 0]
    assert len({tuple(colour) for colour in common}) == 4  # 2^60 + 1, + 2, + 3: apart


@needs_browser
@pytest.mark.parametrize("name", NORMALS)
def test_normals_show_x_y_z_as_red_green_blue(browser, made, name):
    z, y, x = (np.nan_to_num(shown(component)) for component in directions())
    expected = 255 * np.abs(np.stack([x, y, z], axis=-1))
    assert_alike(browser.picture([name], crossSectionScale=1 / 16), expected)
    scan = grey(shown(made["raw"][0]), browser, "raw")
    is_there = expected.any(axis=-1, keepdims=True)
    assert_alike(
        browser.picture(["raw", name], crossSectionScale=1 / 16), np.where(is_there, (scan + expected) / 2, scan)
    )


@needs_browser
@pytest.mark.real_data
def test_electron_microscopy_and_its_cells(real_data):
    paths = [real_data / f"em_fibsem/medulla250_{name}.tif" for name in ("raw", "bodies")]
    # two pixels to a voxel; the picture ends at 100 voxels from the middle, number 125
    scan, cells = (tifffile.imread(path)[125, 25:225, 25:225] for path in paths)
    with NeuroglancerPage(open_layers(paths)) as page, Browser(page) as browser:
        picture = browser.picture(["medulla250_raw"], crossSectionScale=1 / 2)[::2, ::2, 0]
        assert np.corrcoef(picture.ravel(), scan.ravel())[0, 1] > 0.99
        coloured = browser.picture(["medulla250_bodies"], crossSectionScale=1 / 2)[::2, ::2]
    colours, which = np.unique(coloured.reshape(-1, 3), axis=0, return_inverse=True)
    pairs = np.unique(np.stack([which.ravel(), cells.ravel()]), axis=1)
    assert len(colours) == len(np.unique(cells)) == pairs.shape[1]  # a colour for each cell, and for no other


def test_a_port_that_is_taken(tmp_path):
    np.save(tmp_path / "v.npy", np.zeros((4, 4, 4), "uint8"))
    layers = open_layers([tmp_path / "v.npy"])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} of 127.0.0.1: Address already in use; choose another one"):
            NeuroglancerPage(layers, port=port)
    with NeuroglancerPage(layers, port=port) as page:
        assert page.url.startswith(f"http://127.0.0.1:{port}/v/")
    for wrong in (-1, 65536, "8080"):
        with pytest.raises(ValueError, match=f"port: expected a number from 1 to 65535, .* got {wrong!r}"):
            NeuroglancerPage(layers, port=wrong)


def test_without_neuroglancer_there_is_advice(tmp_path, monkeypatch):
    np.save(tmp_path / "v.npy", np.zeros((4, 4, 4), "uint8"))
    monkeypatch.setitem(sys.modules, "neuroglancer.server", None)
    with pytest.raises(ImportError, match=r"viewing needs the package neuroglancer; install it with: pip install 'pol"):
        NeuroglancerPage(open_layers([tmp_path / "v.npy"]))
