"""Which level is read for an exact spacing, and arrays on the grid of the image that they belong to."""

import numpy as np
import pytest
import zarr
from scipy import ndimage

from scripts.volumes import ResampledVolume, create_ome_zarr, open_resampled, open_stack, open_volume, resampling_mode
from scripts.volumes.placement import _pick_level, level_spacings


def store(path, data, spacing=(1.0, 1.0, 1.0), **kwargs):
    data = data if data.ndim == 4 else data[None]
    writer = create_ome_zarr(path, data.shape, data.dtype, spacing=spacing, **({"unit": "nm"} | kwargs))
    writer.write((0, 0, 0), data)
    return writer.finish()


def whole(volume):
    return volume.read((0, 0, 0), volume.spatial_shape)


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory):
    data = np.random.default_rng(0).integers(0, 200, (32, 32, 32)).astype(np.uint8)
    return store(tmp_path_factory.mktemp("pyramid") / "x.zarr", data, (4.0, 4.0, 4.0), levels=3)  # 4, 8, 16


@pytest.mark.parametrize(
    ("wanted", "level"),
    [
        ((4, 4, 4), 0),
        ((7.9, 8, 8), 0),
        ((7.993, 8, 8), 1),  # within a thousandth
        ((9, 12, 15), 1),
        ((16, 16, 16), 2),
        ((50, 16, 40), 2),
        ((16, 16, 4), 0),
        ((1, 1, 1), 0),
    ],
)
def test_the_coarsest_level_that_is_fine_enough(pyramid, wanted, level):
    assert level_spacings(pyramid) == [(4.0,) * 3, (8.0,) * 3, (16.0,) * 3]
    stored = open_volume(pyramid, level=level)
    found = open_resampled(pyramid, wanted)
    assert np.allclose(found.spacing, wanted, rtol=1e-3)
    base = found.base if isinstance(found, ResampledVolume) else found
    assert base.spacing == stored.spacing
    assert base.translation == stored.translation


@pytest.mark.parametrize(
    ("spacings", "wanted", "level"),
    [
        ([(4, 1, 1), (4, 2, 2), (8, 4, 4)], (2, 2, 2), 1),  # no level is fine enough along z: the others decide
        ([(4, 1, 1), (4, 2, 2), (8, 4, 4)], (8, 2, 4), 1),
        ([(2, 2, 2), (1, 1, 1)], (1, 1, 1), 1),  # the finest is not the first
        ([(1, 1, 1), (1, 1, 1)], (1, 1, 1), 1),
        ([], (1, 1, 1), 0),
    ],
)
def test_levels_of_unequal_axes(spacings, wanted, level):
    assert _pick_level(spacings, wanted) == level


def test_a_path_that_names_a_level_is_taken_at_its_word(pyramid):
    for path in (f"{pyramid}::1", f"{pyramid}/1"):
        found = open_resampled(path, (4, 4, 4), "nearest")
        assert found.base.spacing == (8.0, 8.0, 8.0)
        assert found.spatial_shape == (32, 32, 32)
        expected = ndimage.zoom(whole(open_volume(f"{pyramid}::1"))[0], 2, order=0, mode="nearest", grid_mode=True)
        np.testing.assert_array_equal(whole(found)[0], expected)
    assert open_resampled(f"{pyramid}::1", (8, 8, 8)).spacing == (8.0, 8.0, 8.0)


def test_a_level_that_is_stored_is_handed_back_and_none_is_the_volume_as_it_is(pyramid):
    for found, level in ((open_resampled(pyramid, (8, 8, 8)), 1), (open_resampled(pyramid, None, "linear"), 0)):
        assert type(found) is type(open_volume(pyramid))
        np.testing.assert_array_equal(whole(found), whole(open_volume(pyramid, level=level)))


def test_up_sampling_is_logged_once(tmp_path, caplog):
    path = store(tmp_path / "x.zarr", np.zeros((4, 4, 4), np.uint8), (4.0, 4.0, 4.0))
    for _ in range(2):
        open_resampled(path, (2, 4, 4), "linear")
    assert len(caplog.records) == 1
    assert f"{path}: spacing [2.0, 4.0, 4.0] was asked for; the finest that is stored is [4.0, 4.0, 4.0]" in caplog.text
    open_resampled(path, (8, 8, 8), "linear")
    assert len(caplog.records) == 1


def test_a_store_without_geometry_has_the_spacing_that_is_given(tmp_path):
    data = np.random.default_rng(0).integers(0, 9, (4, 5, 6)).astype(np.uint8)
    zarr.create_array(tmp_path / "x.zarr", data=data)
    volume = open_resampled(tmp_path / "x.zarr", (3, 2, 1), "linear")
    assert volume.spacing == (3.0, 2.0, 1.0)
    np.testing.assert_array_equal(whole(volume)[0], data)


def test_without_a_mode_the_type_decides(tmp_path):
    encoded = {"polytome": {"scale": 0.5}}
    for n, (dtype, attributes, mode) in enumerate(
        [
            ("uint8", None, "nearest"),
            ("bool", None, "nearest"),
            ("float32", None, "linear"),
            ("int8", encoded, "linear"),
        ]
    ):
        path = store(tmp_path / f"{n}.zarr", np.ones((4, 4, 4), dtype), attributes=attributes)
        assert open_resampled(path, (2, 2, 2)).mode == mode
        assert open_resampled(path, (2, 2, 2), "normal").mode == "normal"


def test_modes_of_the_kinds():
    modes = {kind: resampling_mode(kind) for kind in ("label", "scalar", "vector", "normal", "points")}
    assert modes == {
        "label": "nearest",
        "scalar": "linear",
        "vector": "linear",
        "normal": "normal",
        "points": "nearest",
    }


@pytest.mark.parametrize("spacing", [0, [1, 1], [1, 0, 1], [1, -2, 1], [1, float("nan"), 1]])
def test_a_bad_spacing(pyramid, spacing):
    with pytest.raises(ValueError, match=r"x\.zarr: spacing: expected three .*numbers.*, got "):
        open_resampled(pyramid, spacing)


def test_errors_are_those_of_open_volume(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.zarr does not exist; the nearest folder"):
        open_resampled(tmp_path / "gone.zarr", (1, 1, 1))
    with pytest.raises(FileNotFoundError, match=r"memory://no/x\.zarr: no zarr array or group is there"):
        open_resampled("memory://no/x.zarr", (1, 1, 1))
    zarr.create_group(tmp_path / "group.zarr")
    with pytest.raises(ValueError, match="is a zarr group without OME-Zarr image"):
        open_resampled(tmp_path / "group.zarr", (1, 1, 1))


class TestCrops:
    """A raw volume, and finer labels of a part of it whose grid is shifted by a fraction of a voxel."""

    @pytest.fixture
    def raw(self, tmp_path):
        data = np.zeros((16, 18, 20), np.uint8)
        return open_resampled(store(tmp_path / "raw.zarr", data, (8.0, 8.0, 8.0)), (8, 8, 8))

    def crop(self, path, first, count, spacing=2.0):
        """A ball's label within raw voxels first ... first + count; the ball is at 60, 70, 80 nm, its radius 24 nm."""
        low = np.multiply(first, 8.0) - 4.0 + spacing / 2
        shape = tuple(int(n * 8 / spacing) for n in count)
        index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
        position = low.reshape(3, 1, 1, 1) + index * spacing
        inside = np.linalg.norm(position - np.reshape([60, 70, 80], (3, 1, 1, 1)), axis=0) < 24
        return store(path, inside.astype(np.uint8) + 1, (spacing,) * 3, translation=low, chunks=(8, 8, 8), levels=1)

    @pytest.mark.parametrize("spacing", [2.0, 4.0, 8.0])
    def test_labels_are_where_they_are_in_space(self, raw, tmp_path, spacing):
        first, count = (3, 2, 5), (9, 12, 11)
        label = open_resampled(self.crop(tmp_path / "c.zarr", first, count, spacing), (8, 8, 8), "nearest", raw)
        assert label.spatial_shape == raw.spatial_shape
        assert label.translation == raw.translation
        assert label.padding((0, 0, 0), raw.spatial_shape) == ((3, 4), (2, 4), (5, 4))
        values = whole(label)[0]
        np.testing.assert_array_equal(np.argwhere(values)[[0, -1]], [first, np.add(first, count) - 1])
        centroid = np.argwhere(values == 2).mean(axis=0) * 8.0
        np.testing.assert_allclose(centroid, [60, 70, 80], atol=4.0)
        assert label.padding((4, 3, 6), (8, 11, 10)) == ((0, 0), (0, 0), (0, 0))
        covered = np.zeros(raw.spatial_shape, int)
        for start, size in label.stored_chunks():
            covered[tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))] += 1
        np.testing.assert_array_equal(covered, values != 0)

    def test_a_crop_that_reaches_beyond_the_image(self, raw, tmp_path):
        label = open_resampled(self.crop(tmp_path / "c.zarr", (12, -3, 5), (9, 12, 11)), (8, 8, 8), "nearest", raw)
        assert label.padding((0, 0, 0), raw.spatial_shape) == ((12, 0), (0, 9), (5, 4))

    def test_a_crop_elsewhere(self, raw, tmp_path):
        path = self.crop(tmp_path / "c.zarr", (20, 0, 0), (4, 4, 4))
        with pytest.raises(
            ValueError, match=r"c\.zarr lies at z 156 to 188.* nm, wholly outside of the grid at z -4 to"
        ):
            open_resampled(path, (8, 8, 8), "nearest", raw)

    def test_another_unit(self, raw, tmp_path):
        path = store(tmp_path / "um.zarr", np.zeros((16, 18, 20), np.uint8), (0.008,) * 3, unit="um")
        with pytest.raises(ValueError, match=r"um\.zarr is in um, the image .*raw\.zarr in nm"):
            open_resampled(path, (8, 8, 8), "nearest", raw)

    def test_without_geometry_shapes_must_agree(self, raw, tmp_path):
        zarr.create_array(tmp_path / "same.zarr", data=np.full((16, 18, 20), 7, np.uint8))
        zarr.create_array(tmp_path / "other.zarr", data=np.full((16, 18, 21), 7, np.uint8))
        assert (whole(open_resampled(tmp_path / "same.zarr", (8, 8, 8), "nearest", raw)) == 7).all()
        with pytest.raises(
            ValueError,
            match=r"other\.zarr has shape \(16, 18, 21\), the image .*raw\.zarr has \(16, 18, 20\) .*"
            r"other\.zarr states no voxel size, so that physical position cannot place",
        ):
            open_resampled(tmp_path / "other.zarr", (8, 8, 8), "nearest", raw)
        plain = open_resampled(tmp_path / "other.zarr", (8, 8, 8))
        with pytest.raises(ValueError, match=r"raw\.zarr has shape .*other\.zarr states no voxel size"):
            open_resampled(raw.path, (8, 8, 8), "nearest", plain)


def test_further_images_are_placed_on_the_first(tmp_path):
    data = np.random.default_rng(0).integers(0, 200, (8, 8, 8)).astype(np.uint8)
    first = store(tmp_path / "a.zarr", data, (2.0, 2.0, 2.0))
    second = store(tmp_path / "b.zarr", data[2:6], (2.0, 2.0, 2.0), translation=(4.0, 0.0, 0.0))
    a, b = open_stack([first, second], [2, 2, 2])
    assert a.spatial_shape == b.spatial_shape == (8, 8, 8)
    np.testing.assert_array_equal(whole(b)[:, 2:6], whole(a)[:, 2:6])
    assert not whole(b)[:, :2].any()
    assert [volume.spatial_shape for volume in open_stack([first, second])] == [(8, 8, 8), (4, 8, 8)]
    assert [volume.spatial_shape for volume in open_stack(first, [4, 4, 4])] == [(4, 4, 4)]


@pytest.mark.real_data
class TestRealImages:
    @pytest.mark.parametrize(
        ("wanted", "level"), [((0.75, 0.75, 0.75), 1), ((1.0, 0.9, 2.0), 1), ((0.4, 0.4, 0.4), 0), ((2.0, 1.5, 1.5), 2)]
    )
    def test_nuclei_keep_their_places(self, real_data, wanted, level):
        root = real_data / "ome_zarr" / "6001240_labels_v0.5.zarr"
        image = open_resampled(root, wanted, "linear")
        assert np.allclose(image.spacing, wanted, rtol=1e-4)
        labels = open_resampled(root / "labels" / "0", wanted, "nearest", image)
        assert labels.spatial_shape == image.spatial_shape
        stored = open_volume(root / "labels" / "0", level=level)  # the levels of this store are shifted, unsaid
        assert labels.base.spacing == stored.spacing
        ids = [  # nuclei that the border of the image may cut off have their centre elsewhere
            n + 1
            for n, box in enumerate(ndimage.find_objects(whole(stored)[0]))
            if all(
                part.start * s > 3 and (extent - part.stop) * s > 3
                for part, extent, s in zip(box, stored.spatial_shape, stored.spacing, strict=True)
            )
        ]
        before, after = (
            np.array(ndimage.center_of_mass(values > 0, values, ids)) * volume.spacing + volume.translation
            for volume in (stored, labels)
            for values in whole(volume)
        )
        assert len(ids) > 35
        assert (np.abs(after - before) <= np.maximum(wanted, stored.spacing) / 2).all()

    def test_an_image_keeps_its_shades(self, real_data):
        root = real_data / "ome_zarr" / "6001240_labels_v0.5.zarr"
        stored = open_volume(root)
        image = open_resampled(root, (1.0, 1.0, 1.0), "linear")
        start, size = (40, 20, 30), (30, 40, 40)
        index = np.stack(np.meshgrid(*[s + np.arange(n) for s, n in zip(start, size, strict=True)], indexing="ij"))
        position = np.reshape(image.translation, (3, 1, 1, 1)) + index * 1.0
        at = (position - np.reshape(stored.translation, (3, 1, 1, 1))) / np.reshape(stored.spacing, (3, 1, 1, 1))
        for channel, found in zip(whole(stored).astype(float), image.read(start, size), strict=True):
            expected = ndimage.map_coordinates(channel, at, order=1, mode="nearest")
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=0.05)
