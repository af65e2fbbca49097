"""What a zarr path means, on stores made here by zarr-python."""

import json
import logging
import re

import numpy as np
import pytest
import zarr

from scripts.volumes import MetadataError, open_volume

AXES = {
    "t": {"name": "t", "type": "time", "unit": "second"},
    "c": {"name": "c", "type": "channel"},
    **{a: {"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"},
}


def make_group(path, names, data, scales, version="0.5", translations=None, axes=None, outer=None):
    """An OME-Zarr group whose level n is every 2^n-th voxel of `data`; returns the level arrays."""
    group = zarr.create_group(path, zarr_format=3 if version == "0.5" else 2)
    datasets, levels = [], []
    for n, scale in enumerate(scales):
        step = tuple(slice(None, None, 2**n) if a in "zyx" else slice(None) for a in names)
        levels.append(data[step])
        array = group.create_array(f"s{n}", shape=levels[-1].shape, dtype=data.dtype, chunks=(4,) * data.ndim)
        array[...] = levels[-1]
        transforms = [{"type": "scale", "scale": scale}]
        if translations:
            transforms.append({"type": "translation", "translation": translations[n]})
        datasets.append({"path": f"s{n}", "coordinateTransformations": transforms})
    entry = {"axes": axes or [AXES[a] for a in names], "datasets": datasets}
    if outer:
        entry["coordinateTransformations"] = outer
    if version == "0.5":
        group.attrs["ome"] = {"version": version, "multiscales": [entry]}
    else:
        group.attrs["multiscales"] = [entry | {"version": version}]
    return levels


def whole(volume):
    return volume.read((0, 0, 0), volume.spatial_shape)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_group_with_channels_and_single_time(tmp_path, version):
    data = np.random.default_rng(0).integers(0, 999, (1, 2, 5, 6, 7)).astype("uint16")
    scales = [[9, 1, 2.0, 0.5, 0.25], [9, 1, 4.0, 1.0, 0.5]]
    shifts = [[0, 0, 10.0, 20.0, 30.0], [0, 0, 11.0, 20.25, 30.125]]
    levels = make_group(tmp_path / "x.zarr", "tczyx", data, scales, version, shifts)
    volume = open_volume(tmp_path / "x.zarr")
    assert volume.shape == (2, 5, 6, 7)
    assert volume.spatial_shape == (5, 6, 7)
    assert volume.channels == 2
    assert (volume.spacing, volume.translation, volume.unit) == ((2.0, 0.5, 0.25), (10.0, 20.0, 30.0), "um")
    np.testing.assert_array_equal(volume.affine @ [1, 1, 1, 1], [12.0, 20.5, 30.25, 1.0])
    np.testing.assert_array_equal(whole(volume), data[0])
    assert volume.name == "x"
    for coarse in (
        open_volume(f"{tmp_path}/x.zarr::1"),
        open_volume(tmp_path / "x.zarr", level=1),
        open_volume(tmp_path / "x.zarr", spacing=[3.5, 1.0, 0.5]),
        open_volume(tmp_path / "x.zarr" / "s1"),
    ):
        np.testing.assert_array_equal(whole(coarse), levels[1][0])
        assert (coarse.spacing, coarse.translation, coarse.unit) == ((4.0, 1.0, 0.5), (11.0, 20.25, 30.125), "um")


def test_transposed_axes_without_units(tmp_path):
    data = np.random.default_rng(0).integers(0, 99, (4, 3, 2)).astype("uint8")
    axes = [{"name": a} for a in "xyz"]
    make_group(tmp_path / "x.zarr", "xyz", data, [[1.0, 2.0, 3.0]], axes=axes)
    volume = open_volume(tmp_path / "x.zarr")
    assert (volume.spacing, volume.unit) == ((3.0, 2.0, 1.0), None)
    np.testing.assert_array_equal(whole(volume), data.T[None])


def test_outer_transformations_apply_after_the_level_s_own(tmp_path):
    outer = [{"type": "scale", "scale": [2.0, 3.0, 4.0]}, {"type": "translation", "translation": [1.0, 1.0, 1.0]}]
    data = np.zeros((4, 4, 4), "uint8")
    make_group(tmp_path / "x.zarr", "zyx", data, [[1.0, 1.0, 0.5]], translations=[[5.0, 6.0, 7.0]], outer=outer)
    volume = open_volume(tmp_path / "x.zarr")
    assert volume.spacing == (2.0, 3.0, 2.0)
    assert volume.translation == (11.0, 19.0, 29.0)


def test_two_dimensions_and_mixed_units(tmp_path):
    data = np.arange(12, dtype="uint8").reshape(3, 4)
    axes = [{"name": "y", "type": "space", "unit": "micrometer"}, {"name": "x", "type": "space", "unit": "nanometer"}]
    make_group(tmp_path / "x.zarr", "yx", data, [[0.5, 400.0]], axes=axes)
    volume = open_volume(tmp_path / "x.zarr")
    assert volume.shape == (1, 1, 3, 4)
    assert (volume.spacing, volume.unit) == ((1.0, 500.0, 400.0), "nm")
    np.testing.assert_array_equal(whole(volume), data[None, None])


def test_time_points(tmp_path):
    data = np.random.default_rng(0).integers(0, 9, (3, 4, 5, 6)).astype("uint8")
    make_group(tmp_path / "x.zarr", "tzyx", data, [[1.0] * 4])
    with pytest.raises(ValueError, match=r"time axis of length 3.*time=0"):
        open_volume(tmp_path / "x.zarr")
    np.testing.assert_array_equal(whole(open_volume(tmp_path / "x.zarr", time=2)), data[2][None])


def test_explicit_level_wins_over_spacing(tmp_path):
    make_group(tmp_path / "x.zarr", "zyx", np.zeros((8, 8, 8), "u1"), [[1.0] * 3, [2.0] * 3])
    assert open_volume(f"{tmp_path}/x.zarr::1", spacing=[1, 1, 1]).spacing == (2.0, 2.0, 2.0)


def test_spacing_far_from_every_level_is_told(tmp_path, caplog):
    make_group(tmp_path / "x.zarr", "zyx", np.zeros((8, 8, 8), "u1"), [[1.0] * 3, [2.0] * 3])
    with caplog.at_level(logging.WARNING):
        assert open_volume(tmp_path / "x.zarr", spacing=[2.5, 2.5, 2.5]).spacing == (2.0, 2.0, 2.0)
        assert not caplog.records
        assert open_volume(tmp_path / "x.zarr", spacing=[8, 8, 8]).spacing == (2.0, 2.0, 2.0)
    assert "spacing [8.0, 8.0, 8.0] was asked for; the nearest that is stored is [2.0, 2.0, 2.0]" in caplog.text


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_plain_arrays(tmp_path, zarr_format):
    data = np.random.default_rng(0).integers(0, 99, (2, 3, 4, 5)).astype(">u2")
    for n, part in enumerate((data, data[0], data[0, 0])):
        path = tmp_path / f"{n}.zarr"
        zarr.create_array(path, data=part, zarr_format=zarr_format)
        volume = open_volume(path, spacing=[3, 2, 1])
        assert volume.dtype == np.dtype("uint16").newbyteorder("=")
        assert (volume.spacing, volume.unit) == ((3.0, 2.0, 1.0), None)
        expected = part.reshape((1,) * (4 - part.ndim) + part.shape)
        np.testing.assert_array_equal(whole(volume), expected)
        assert whole(volume).dtype.isnative


def test_dimension_names_of_a_plain_array_count(tmp_path):
    data = np.random.default_rng(0).integers(0, 99, (3, 4, 5, 2)).astype("u1")
    zarr.create_array(tmp_path / "x.zarr", data=data, dimension_names=["z", "y", "x", "c"])
    np.testing.assert_array_equal(whole(open_volume(tmp_path / "x.zarr")), data.transpose(3, 0, 1, 2))


def edit_ome(path, change):
    metadata = json.loads((path / "zarr.json").read_text())
    change(metadata["attributes"]["ome"])
    (path / "zarr.json").write_text(json.dumps(metadata))


class TestFaults:
    def test_level_that_does_not_exist_lists_levels(self, tmp_path):
        make_group(tmp_path / "x.zarr", "zyx", np.zeros((8, 8, 8), "u1"), [[1.0] * 3, [2.0] * 3])
        with pytest.raises(ValueError, match=r"level 2 does not exist; levels are 0 \('s0', spacing 1 1 1\), 1 \('s1'"):
            open_volume(f"{tmp_path}/x.zarr::2")
        with pytest.raises(ValueError, match="names level 1, but level = 0"):
            open_volume(f"{tmp_path}/x.zarr::1", level=0)
        with pytest.raises(ValueError, match="s0 is one array, so level 1 does not exist"):
            open_volume(tmp_path / "x.zarr" / "s0", level=1)

    def test_group_without_image_lists_what_is_inside(self, tmp_path):
        group = zarr.create_group(tmp_path / "x.zarr")
        group.create_array("deep/raw", shape=(2, 2), dtype="u1")
        with pytest.raises(
            ValueError, match=r"without OME-Zarr image.* arrays .*/x.zarr/deep/raw; groups .*/x.zarr/deep$"
        ):
            open_volume(tmp_path / "x.zarr")

    def test_folder_without_zarr(self, tmp_path):
        (tmp_path / "notes.md").touch()
        with pytest.raises(ValueError, match=r"folder without zarr array or group.*found notes.md"):
            open_volume(tmp_path)

    def test_dataset_that_is_not_there(self, tmp_path):
        make_group(tmp_path / "x.zarr", "zyx", np.zeros((2, 2, 2), "u1"), [[1.0] * 3])
        edit_ome(tmp_path / "x.zarr", lambda ome: ome["multiscales"][0]["datasets"][0].update(path="gone"))
        with pytest.raises(FileNotFoundError, match=r"list 'gone', but no array is there; levels are 0 \('gone'"):
            open_volume(tmp_path / "x.zarr")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            pytest.param(
                lambda ome: ome["multiscales"][0].pop("axes"),
                "cannot be understood: axes: Field required",
                id="no-axes",
            ),
            pytest.param(
                lambda ome: ome["multiscales"][0]["axes"][0].update(name="q"),
                "axis 'q' of type 'space' is none",
                id="axis",
            ),
            pytest.param(
                lambda ome: ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][0].update(scale=[1, 2]),
                r"a scale of \[1, 2\]; expected one number per axis \(z, y, x\)",
                id="short-scale",
            ),
            pytest.param(
                lambda ome: ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][0].update(type="affine"),
                "transformation of type 'affine'",
                id="affine",
            ),
            pytest.param(
                lambda ome: ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][0].update(
                    scale=[0, 1, 1]
                ),
                r"spacing \(0.0, 1.0, 1.0\)",
                id="zero",
            ),
        ],
    )
    def test_broken_metadata(self, tmp_path, change, message):
        make_group(tmp_path / "x.zarr", "zyx", np.zeros((2, 2, 2), "u1"), [[1.0] * 3])
        edit_ome(tmp_path / "x.zarr", change)
        with pytest.raises(ValueError, match=message):
            open_volume(tmp_path / "x.zarr")

    @pytest.mark.parametrize(
        "path", ["../secret.zarr", "s0/../../secret.zarr", "/secret.zarr", "", "s0\\..\\x", "a\x00", 0]
    )
    def test_a_dataset_outside_its_group(self, tmp_path, path):
        """A store must not have its reader open other files."""
        make_group(tmp_path / "secret.zarr", "zyx", np.ones((2, 2, 2), "u1"), [[1.0] * 3])
        make_group(tmp_path / "x.zarr", "zyx", np.zeros((2, 2, 2), "u1"), [[1.0] * 3])
        edit_ome(tmp_path / "x.zarr", lambda ome: ome["multiscales"][0]["datasets"][0].update(path=path))
        message = rf"x\.zarr: the OME-Zarr metadata list a dataset at {re.escape(repr(path))}; expected a path inside"
        with pytest.raises(MetadataError, match=message):
            open_volume(tmp_path / "x.zarr")

    def test_a_broken_group_above_an_array_is_told(self, tmp_path, caplog):
        make_group(tmp_path / "x.zarr", "zyx", np.ones((2, 2, 2), "u1"), [[3.0] * 3])
        (tmp_path / "x.zarr" / "zarr.json").write_text("{")
        assert open_volume(tmp_path / "x.zarr" / "s0").spacing == (1.0, 1.0, 1.0)
        assert "x.zarr/zarr.json: the metadata there are no JSON" in caplog.text
        assert "such as their spacing, is not known" in caplog.text

    @pytest.mark.parametrize("scale", [0, "x", None, float("nan"), 1e300, [1]])
    def test_an_encoding_that_is_none(self, tmp_path, scale):
        zarr.create_array(tmp_path / "x.zarr", shape=(2, 2), dtype="u1").attrs["polytome"] = {"scale": scale}
        with pytest.raises(
            MetadataError, match=rf"x\.zarr: 'polytome' states scale {re.escape(repr(scale))} and offset 0"
        ):
            open_volume(tmp_path / "x.zarr")

    def test_array_of_text(self, tmp_path):
        zarr.create_array(tmp_path / "x.zarr", shape=(2, 2), dtype="complex64")
        with pytest.raises(ValueError, match="array holds complex64; expected bool, integers or floats"):
            open_volume(tmp_path / "x.zarr")

    def test_missing_url(self):
        with pytest.raises(FileNotFoundError, match=r"memory://nowhere/x.zarr: no zarr array or group is there"):
            open_volume("memory://nowhere/x.zarr")


@pytest.mark.real_data
class TestRealImages:
    def test_nuclei(self, real_data):
        root = real_data / "ome_zarr" / "6001240_labels_v0.5.zarr"
        image = open_volume(root)
        assert image.shape == (2, 236, 68, 67)
        assert image.spacing == (0.5002025531914894, 1.4415926138560835, 1.4415926138560835)
        assert image.unit == "um"
        np.testing.assert_array_equal(
            image.read((100, 10, 20), (30, 40, 40)), zarr.open_array(root / "2")[:, 100:130, 10:50, 20:60]
        )
        labels = open_volume(root / "labels" / "0", spacing=image.spacing)
        assert labels.spacing == image.spacing
        assert labels.spatial_shape == image.spatial_shape
        level = open_volume(root / "labels" / "0" / "2")
        assert level.spacing == image.spacing
        assert level.name == "6001240_labels_v0.5/labels/0/2"
        np.testing.assert_array_equal(whole(level), zarr.open_array(root / "labels" / "0" / "2")[:])
        assert open_volume(f"{root}/labels/0::3").spatial_shape == (236, 34, 33)

    def test_five_dimensions(self, real_data):
        root = real_data / "ome_zarr" / "tubhiswt4D_sub_v0.4.zarr"
        with pytest.raises(ValueError, match="time axis of length 3"):
            open_volume(root)
        stored = zarr.open_array(root / "1")[:]
        np.testing.assert_array_equal(whole(open_volume(f"{root}::1", time=1)), stored[1])
        assert open_volume(f"{root}::1", time=1).spacing == (1.0, 2.0, 2.0)

    def test_synthetic_ones(self, real_data):
        for name, shape in (("zyx", (1, 3, 64, 64)), ("czyx", (2, 3, 64, 64))):
            root = real_data / "ome_zarr" / f"ngio_test_image_{name}_v0.4.zarr"
            volume = open_volume(root)
            assert volume.shape == shape
            assert (volume.spacing, volume.unit) == ((2.0, 0.5, 0.5), "um")
            np.testing.assert_array_equal(whole(volume), zarr.open_array(root / "0")[:].reshape(shape))

    def test_plate_names_a_field(self, real_data):
        root = real_data / "ome_zarr" / "hcs_v0.4.zarr"
        with pytest.raises(
            ValueError, match=r"is a plate of 4 wells, expected one image.*such as .*hcs_v0.4.zarr/A/1/0"
        ):
            open_volume(root)
        with pytest.raises(ValueError, match=r"is a well.*fields: 0, 1"):
            open_volume(root / "A" / "1")
        np.testing.assert_array_equal(
            whole(open_volume(root / "A" / "1" / "0")), zarr.open_array(root / "A" / "1" / "0" / "0")[0]
        )
