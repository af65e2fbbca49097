"""Volumes read at a number of voxels: the outer edges stay, whatever the aspect becomes."""

import numpy as np
import pytest
import zarr
from PIL import Image
from scipy import ndimage
from tests.inferers.landmark_networks import blobs

from scripts.patches import place_landmarks
from scripts.volumes import (
    ResampledVolume,
    as_landmarks,
    create_ome_zarr,
    fit,
    open_resampled,
    open_stack,
    open_volume,
)
from scripts.volumes.placement import as_shape

SHAPE = (24, 40, 32)
SPACING, ORIGIN = (2.0, 0.5, 1.0), (100.0, -5.0, 7.0)


def store(path, data, spacing=SPACING, translation=ORIGIN, **options):
    data = data if data.ndim == 4 else data[None]
    writer = create_ome_zarr(
        path, data.shape, data.dtype, spacing=spacing, translation=translation, **({"unit": "mm"} | options)
    )
    writer.write((0, 0, 0), data)
    return str(writer.finish())


def whole(volume):
    return volume.read((0, 0, 0), volume.spatial_shape)


def edges(volume):
    """Outermost positions along z, y, x."""
    low = np.array(volume.translation) - np.array(volume.spacing) / 2
    return low, low + np.array(volume.spacing) * volume.spatial_shape


def centre_of_mass(array):
    return ndimage.center_of_mass(np.where(array > 0.02 * array.max(), array, 0))


@pytest.mark.parametrize("shape", [(12, 20, 16), (24, 40, 32), (17, 23, 29), (30, 33, 50), (24, 10, 32)])
def test_a_landmark_stays_at_its_blob(tmp_path, shape):
    at = [11.3, 22.6, 13.8]
    path = store(tmp_path / "x.zarr", blobs(SHAPE, [at], 3.0).astype(np.float32))
    volume = open_volume(path)
    fitted = open_resampled(path, None, "linear", shape=shape)
    assert fitted.spatial_shape == shape
    for found, expected in zip(edges(fitted), edges(volume), strict=True):
        assert np.allclose(found, expected)
    row = {"image": path, "landmarks": [at], "shape": list(shape)}
    (place,) = place_landmarks(row, as_landmarks([at]), fitted)
    assert np.allclose(place, (np.array(at) + 0.5) * shape / np.array(SHAPE) - 0.5)
    assert np.allclose(centre_of_mass(whole(fitted)[0]), place, atol=0.03)
    physical = np.multiply(at, SPACING) + ORIGIN
    assert np.allclose(np.multiply(place, fitted.spacing) + fitted.translation, physical)


def test_values_are_those_of_scipy(tmp_path):
    data = np.random.default_rng(0).random(SHAPE, np.float32)
    fitted = fit(open_volume(store(tmp_path / "x.zarr", data)), (18, 50, 32), "area")
    larger = ndimage.zoom(data, (1, 50 / 40, 1), order=1, mode="nearest", grid_mode=True)
    expected = larger.repeat(3, axis=0).reshape(18, 4, 50, 32).mean(axis=1)  # 24 voxels x 3 = 18 x 4
    assert np.allclose(whole(fitted)[0], expected, atol=1e-5)


def test_a_volume_of_so_many_voxels_is_handed_back(tmp_path):
    volume = open_volume(store(tmp_path / "x.zarr", np.ones(SHAPE, np.uint8)))
    assert fit(volume, list(SHAPE), "linear") is volume


@pytest.mark.parametrize("spacing", [None, (1.0, 0.1, 0.2)])
def test_a_picture_has_the_spacing_that_is_given_for_what_is_stored(tmp_path, spacing):
    at = [0, 20.3, 30.6]
    Image.fromarray(np.round(255 * blobs((1, 40, 60), [at], 4.0)[0, 0]).astype(np.uint8)).save(tmp_path / "x.png")
    path = str(tmp_path / "x.png")
    fitted = open_resampled(path, spacing, "linear", shape=(1, 32, 32))
    assert not fitted.states_geometry
    assert fitted.spacing == pytest.approx(np.array(spacing or (1, 1, 1)) * (1, 40 / 32, 60 / 32))
    row = {"image": path, "spacing": spacing, "shape": [1, 32, 32]}
    (place,) = place_landmarks(row, as_landmarks([at[1:]]), fitted)  # of a picture: y, x
    assert np.allclose(place, [0, 20.8 * 32 / 40 - 0.5, 31.1 * 32 / 60 - 0.5])
    assert np.allclose(centre_of_mass(whole(fitted)[0]), place, atol=0.03)


def test_of_a_pyramid_the_coarsest_level_that_is_fine_enough_is_read(tmp_path):
    data = np.random.default_rng(0).random((32, 32, 32), np.float32)
    path = store(tmp_path / "x.zarr", data, (2, 2, 2), levels=3)
    half = data.reshape(16, 2, 16, 2, 16, 2).mean(axis=(1, 3, 5))
    found = open_resampled(path, None, "linear", shape=(16, 16, 16))
    assert np.allclose(whole(found)[0], half, atol=1e-6)
    below = open_resampled(path, None, "linear", shape=(12, 16, 16))
    assert below.base.spacing == (4, 4, 4)
    mean = half.repeat(3, axis=0).reshape(12, 4, 16, 16).mean(axis=1)  # 16 voxels x 3 = 12 x 4
    assert np.allclose(whole(below)[0], mean, atol=1e-6)
    named = open_resampled(f"{path}::0", None, "linear", shape=(16, 16, 16))
    assert named.base.spacing == (2, 2, 2)
    assert np.allclose(named.spacing, found.spacing)


def test_the_edges_are_those_of_the_finest_level(tmp_path):
    """Of 33 voxels there are 17 of twice the size, of which the last reaches half beyond."""
    at = [16.2, 18.4, 15.7]
    path = store(tmp_path / "x.zarr", blobs((33, 33, 33), [at], 4.0).astype(np.float32), (2, 2, 2), levels=3)
    coarse = open_volume(path, level=1)
    assert not np.allclose(edges(coarse)[1], edges(open_volume(path))[1])
    for wanted in ((16, 16, 16), (10, 11, 12)):
        fitted = open_resampled(path, None, "linear", shape=wanted)
        assert fitted.base.spacing == coarse.spacing
        for found, expected in zip(edges(fitted), edges(open_volume(path)), strict=True):
            assert np.allclose(found, expected)
        place = (np.array(at) + 0.5) * wanted / 33 - 0.5
        assert np.allclose(centre_of_mass(whole(fitted)[0]), place, atol=0.06)


def test_a_label_is_placed_where_it_is_in_space(tmp_path):
    """A crop of the middle at half the voxel size; around it is padding."""
    image = store(tmp_path / "x.zarr", np.zeros((16, 16, 16), np.float32), (2, 2, 2), (1, 1, 1))
    crop = store(tmp_path / "s.zarr", np.ones((16, 16, 16), np.uint8), (1, 1, 1), (8.5, 8.5, 8.5))  # 8 to 24
    grid = open_resampled(image, None, "linear", shape=(8, 8, 8))
    label = open_resampled(crop, None, "nearest", grid, shape=(8, 8, 8))
    expected = np.zeros((8, 8, 8))
    expected[2:6, 2:6, 2:6] = 1
    assert np.array_equal(whole(label)[0], expected)
    assert label.padding((0, 0, 0), (8, 8, 8)) == ((2, 2),) * 3
    assert label.dtype == np.uint8


def test_a_label_without_geometry_has_the_voxels_of_its_image(tmp_path):
    label = np.zeros((40, 60), np.uint8)
    label[10:20, 30:45] = 3
    for name, values in (("x", label * 50), ("s", label), ("small", label[::2, ::2])):
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    shape = (1, 20, 20)
    image = open_resampled(tmp_path / "x.png", None, "linear", shape=shape)
    found = whole(open_resampled(tmp_path / "s.png", None, "nearest", image, shape=shape))[0, 0]
    expected = np.zeros((20, 20))
    expected[5:10, 10:15] = 3
    assert np.array_equal(found, expected)
    message = r"small\.png has shape \(1, 20, 30\), the image .*x\.png has \(1, 40, 60\)"
    with pytest.raises(ValueError, match=message):
        open_resampled(tmp_path / "small.png", None, "nearest", image, shape=shape)
    stated = store(tmp_path / "s.zarr", label[None, ::2, ::2], (1, 2, 2), (0, 0, 0))
    with pytest.raises(ValueError, match=r"s\.zarr has shape \(1, 20, 30\).*x\.png states no voxel size"):
        open_resampled(stated, None, "nearest", image, shape=shape)


def test_a_label_without_geometry_beside_a_pyramid_has_the_voxels_of_its_finest_level(tmp_path):
    image = store(tmp_path / "x.zarr", np.zeros((16, 32, 32), np.float32), levels=3)
    label = np.zeros((16, 32, 32), np.uint8)
    label[4:8] = 1
    zarr.create_array(tmp_path / "s.zarr", data=label)
    for path in (image, f"{image}::0"):
        grid = open_resampled(path, None, "linear", shape=(4, 8, 8))
        found = whole(open_resampled(tmp_path / "s.zarr", None, "nearest", grid, shape=(4, 8, 8)))[0]
        assert np.array_equal(found.max(axis=(1, 2)), [0, 1, 0, 0])


def test_a_stack_has_one_grid(tmp_path):
    first = store(tmp_path / "a.zarr", np.zeros((16, 16, 16), np.float32), (2, 2, 2), (1, 1, 1))
    second = store(tmp_path / "b.zarr", np.arange(32, dtype=np.float32) * np.ones((32, 32, 1)), (1, 1, 1), (0.5,) * 3)
    grid, other = open_stack([first, second], shape=(8, 8, 8))
    assert grid.spacing == other.spacing == (4, 4, 4)
    assert np.allclose(whole(other)[0, 0, 0], np.arange(8) * 4 + 1.5)


def test_shape_is_along_the_stored_axes_whatever_axes_are_seen(tmp_path):
    data = np.random.default_rng(0).random((12, 20, 16), np.float32)
    path = store(tmp_path / "x.zarr", data, levels=1)
    plain = open_resampled(path, None, "linear", shape=(6, 10, 32))
    seen = open_resampled(path, None, "linear", axes="yzx", shape=(6, 10, 32))
    assert seen.spatial_shape == (10, 6, 32)
    assert np.allclose(whole(seen)[0], whole(plain)[0].transpose(1, 0, 2), atol=1e-6)
    assert np.allclose(seen.spacing, np.array(plain.spacing)[[1, 0, 2]])


def test_shape_and_spacing_contradict_each_other(tmp_path):
    path = store(tmp_path / "x.zarr", np.zeros((4, 4, 4), np.float32))
    with pytest.raises(ValueError, match=r"x\.zarr: 'shape' and 'spacing' both say how large its voxels are to be"):
        open_resampled(path, (1, 1, 1), "linear", shape=(2, 2, 2))


@pytest.mark.parametrize("shape", [(4, 4), 4, "444", (4, 4, 0), (4, 4, 2.0), (True, 4, 4), (4, 4, None)])
def test_shapes_that_are_none(tmp_path, shape):
    message = "x: shape must be three whole numbers of voxels z, y, x, at least 1; got "
    with pytest.raises(ValueError, match=message):
        as_shape(shape, "x: shape")
    path = store(tmp_path / "x.zarr", np.zeros((4, 4, 4), np.float32))
    with pytest.raises(ValueError, match=r"x\.zarr: shape must be three whole numbers"):
        open_resampled(path, None, shape=shape)


def test_it_is_a_resampled_volume_that_keeps_unit_and_type(tmp_path):
    volume = open_volume(store(tmp_path / "x.zarr", np.zeros((4, 4, 4), np.uint8)))
    label, image = fit(volume, (8, 2, 4), "nearest"), fit(volume, (8, 2, 4), "linear")
    assert isinstance(label, ResampledVolume)
    assert (label.dtype, image.dtype) == (np.uint8, np.float32)
    assert label.unit == "mm"
    assert label.states_geometry
