"""Atlases of slices: which voxel stands where, what is left out, how large they are."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from scripts.viewers import Panel
from scripts.viewers.dashboard_slices import MAX_EDGE, data_url, slice_atlases


def panel(depth, height, width, seed=0, title="sheet: truth", target="sheet"):
    """Few colours, so that its picture is exact."""
    colours = np.random.default_rng(seed).integers(0, 2, (depth, height, width, 1)).repeat(3, -1) * 255
    return Panel(target, title, colours.astype(np.uint8))


def pixels(url):
    head, content = url.split(",")
    image = Image.open(io.BytesIO(base64.b64decode(content)))
    assert head == f"data:image/{image.format.lower()};base64"
    return np.asarray(image.convert("RGB")), image.format


def slice_of(atlas, n, k):
    """Slice k of panel n, cut out as the page does it."""
    picture, _ = pixels(atlas["panels"][n]["picture"])
    h, w = atlas["height"], atlas["width"]
    row, column = divmod(k, atlas["columns"])
    return picture[row * h : (row + 1) * h, column * w : (column + 1) * w]


def test_every_slice_of_a_small_sample_is_there_in_order():
    panels = [panel(7, 5, 9, 1), panel(7, 5, 9, 2, "normals: truth", "normals")]
    atlas = slice_atlases(panels)
    assert (atlas["z"], atlas["depth"], atlas["height"], atlas["width"]) == (list(range(7)), 7, 5, 9)
    assert [(one["target"], one["title"]) for one in atlas["panels"]] == [
        ("sheet", "sheet: truth"), ("normals", "normals: truth"),
    ]  # fmt: skip
    for n, one in enumerate(panels):
        for k in range(7):
            np.testing.assert_array_equal(slice_of(atlas, n, k), one.colours[k])


def test_wide_slices_are_thinned_out_by_a_whole_factor():
    one = panel(2, 10, 2 * MAX_EDGE + 1)
    atlas = slice_atlases([one])
    assert (atlas["height"], atlas["width"]) == (4, 107)
    np.testing.assert_array_equal(slice_of(atlas, 0, 1), one.colours[1, ::3, ::3])


def test_of_a_deep_sample_slices_at_equal_distances_are_kept():
    one = panel(40, 4, 5)
    atlas = slice_atlases([one, one], max_pixels=2 * 4 * 5 * 4)
    assert (atlas["z"], atlas["depth"]) == ([5, 15, 25, 35], 40)
    for k, z in enumerate(atlas["z"]):
        np.testing.assert_array_equal(slice_of(atlas, 1, k), one.colours[z])
    assert slice_atlases([one], max_pixels=1)["z"] == [20]


def test_flat_pictures_are_exact_and_noise_is_small():
    flat = panel(1, 64, 64).colours[0] // 255 * np.array([200, 30, 90], np.uint8)
    found, kind = pixels(data_url(flat))
    assert kind == "PNG"
    np.testing.assert_array_equal(found, flat)
    noise = np.random.default_rng(0).normal(128, 30, (64, 64, 3)).clip(0, 255).astype(np.uint8)
    found, kind = pixels(data_url(noise))
    assert kind == "JPEG"
    assert np.abs(found.astype(int) - noise).mean() < 16  # of a spread of 30
    assert len(data_url(noise)) < 64 * 64 * 3


@pytest.mark.parametrize("edge", [96, 512])
def test_even_white_noise_has_a_largest_size(edge):
    rng = np.random.default_rng(0)
    grey = Panel("", "image", rng.integers(0, 256, (edge // 8, edge, edge, 1), np.uint8).repeat(3, -1))
    colour = Panel("normals", "normals: truth", rng.integers(0, 256, (edge // 8, edge, edge, 3), np.uint8))
    atlas = slice_atlases([grey, grey, grey, colour, colour])
    assert sum(len(one["picture"]) for one in atlas["panels"]) < 1.8e6  # white noise: no scan is as bad
