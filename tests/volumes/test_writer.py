import logging
import pickle

import numpy as np
import pytest
import zarr
from ome_zarr_models import v04, v05

from scripts.volumes import NORMAL_INT8, create_ome_zarr, encode, lattice, open_volume

SPACING = (2.0, 0.5, 0.5)


def whole(volume):
    return volume.read((0, 0, 0), volume.spatial_shape)


def write_all(writer, data):
    for start, size in lattice(data.shape[1:], writer.block_shape):
        box = tuple(slice(low, low + n) for low, n in zip(start, size, strict=True))
        writer.write(start, data[(slice(None), *box)])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("channels", [1, 2])
def test_image_comes_back_and_is_valid(tmp_path, version, channels):
    data = np.random.default_rng(0).integers(0, 255, (channels, 6, 20, 21)).astype("uint8")
    writer = create_ome_zarr(
        tmp_path / "x.zarr", data.shape, "uint8", spacing=SPACING, translation=(5, 6, 7), unit="um",
        chunks=(4, 8, 8), levels=3, version=version, attributes={"polytome": {"note": "kept"}}, name="shown",
    )  # fmt: skip
    write_all(writer, data)
    assert writer.finish() == str(tmp_path / "x.zarr")

    group = zarr.open_group(tmp_path / "x.zarr", mode="r")
    assert group.metadata.zarr_format == (3 if version == "0.5" else 2)
    models = v05 if version == "0.5" else v04
    image = models.Image.from_zarr(group)
    metadata = image.ome_attributes if version == "0.5" else image.attributes
    multiscale = metadata.multiscales[0]
    assert multiscale.name == "shown"
    assert [a.name for a in multiscale.axes] == list("czyx" if channels == 2 else "zyx")
    assert {a.unit for a in multiscale.axes if a.name != "c"} == {"micrometer"}
    assert [d.path for d in multiscale.datasets] == ["0", "1", "2"]

    levels = [open_volume(tmp_path / "x.zarr", level=n) for n in range(3)]
    np.testing.assert_array_equal(whole(levels[0]), data)
    assert levels[0].attributes["polytome"] == {"note": "kept"}
    # z is four times coarser than y and x, which are halved twice before z would be.
    assert [v.spatial_shape for v in levels] == [(6, 20, 21), (6, 10, 11), (6, 5, 6)]
    assert [v.spacing for v in levels] == [(2, 0.5, 0.5), (2, 1, 1), (2, 2, 2)]
    assert [v.translation for v in levels] == [(5, 6, 7), (5, 6.25, 7.25), (5, 6.75, 7.75)]
    assert {v.unit for v in levels} == {"um"}
    padded = np.pad(data, [(0, 0), (0, 0), (0, 0), (0, 1)], mode="edge").astype(float)
    expected = np.rint(padded.reshape(channels, 6, 10, 2, 11, 2).mean(axis=(3, 5)))
    np.testing.assert_array_equal(whole(levels[1]), expected)


@pytest.mark.parametrize("shards", [None, (8, 8, 16)])
def test_pyramid_of_labels_in_blocks_equals_that_of_the_whole(tmp_path, shards):
    from scripts.volumes.pyramid import downsampler

    labels = np.random.default_rng(0).integers(0, 4, (1, 17, 18, 35)).astype("uint32")
    writer = create_ome_zarr(
        tmp_path / "x.zarr", labels.shape, "uint32", spacing=(1, 1, 1), chunks=(4, 4, 8), shards=shards, levels=3,
        downsample="mode",
    )  # fmt: skip
    write_all(writer, labels)
    writer.finish()
    mode = downsampler("mode", None)
    for level, expected in enumerate((labels, mode(labels, (2, 2, 2)), mode(mode(labels, (2, 2, 2)), (2, 2, 2)))):
        np.testing.assert_array_equal(whole(open_volume(tmp_path / "x.zarr", level=level)), expected)
        assert zarr.open_array(tmp_path / "x.zarr" / str(level)).shards == shards


def test_normals_stay_unit_vectors(tmp_path):
    normals = np.random.default_rng(0).normal(size=(3, 8, 8, 8)).astype("float32")
    normals[0] += 4.0
    normals /= np.linalg.norm(normals, axis=0)
    normals[:, :, :, 4:] = 0.0
    writer = create_ome_zarr(
        tmp_path / "x.zarr", normals.shape, "int8", spacing=(1, 1, 1), levels=2, downsample="normal",
        attributes=NORMAL_INT8.as_attributes(),
    )  # fmt: skip
    write_all(writer, encode(normals, NORMAL_INT8, "int8"))
    writer.finish()
    coarse = open_volume(tmp_path / "x.zarr::1")
    decoded = coarse.decode(whole(coarse))
    total = normals.reshape(3, 4, 2, 4, 2, 4, 2).sum(axis=(2, 4, 6))[..., :2]
    np.testing.assert_allclose(decoded[..., :2], total / np.linalg.norm(total, axis=0), atol=0.02)
    np.testing.assert_array_equal(decoded[..., 2:], 0.0)


def test_nearest_keeps_the_first_voxel_where_it_is(tmp_path):
    data = np.arange(64, dtype="uint8").reshape(1, 4, 4, 4)
    writer = create_ome_zarr(
        tmp_path / "x.zarr", data.shape, "uint8", spacing=(1, 1, 1), levels=2, downsample="nearest"
    )
    write_all(writer, data)
    writer.finish()
    coarse = open_volume(tmp_path / "x.zarr::1")
    np.testing.assert_array_equal(whole(coarse), data[:, ::2, ::2, ::2])
    assert coarse.translation == (0.0, 0.0, 0.0)


def test_absent_chunks_stay_absent_on_every_level(tmp_path):
    writer = create_ome_zarr(
        tmp_path / "x.zarr", (1, 32, 32, 32), "uint8", spacing=(1, 1, 1), chunks=(8, 8, 8), levels=2
    )
    writer.write((0, 0, 0), np.zeros((1, 8, 8, 8), "uint8"))
    writer.write((24, 16, 8), np.full((1, 8, 8, 8), 7, "uint8"))
    writer.finish()
    assert open_volume(tmp_path / "x.zarr").stored_chunks() == [((24, 16, 8), (8, 8, 8))]
    assert open_volume(tmp_path / "x.zarr::1").stored_chunks() == [((8, 8, 0), (8, 8, 8))]
    assert whole(open_volume(tmp_path / "x.zarr::1")).sum() == 7 * 4**3


def test_fill_value_and_channel_axis(tmp_path):
    create_ome_zarr(
        tmp_path / "x.zarr", (1, 4, 4, 4), "int16", spacing=(1, 1, 1), fill_value=-1, channel_axis=True
    )  # fmt: skip
    array = zarr.open_array(tmp_path / "x.zarr" / "0")
    assert array.shape == (1, 4, 4, 4)
    volume = open_volume(tmp_path / "x.zarr")
    assert (volume.fill_value, volume.unit) == (-1, None)
    np.testing.assert_array_equal(whole(volume), -1)


def test_compressor(tmp_path):
    for name, compressor in (("raw", None), ("packed", "auto")):
        writer = create_ome_zarr(tmp_path / name, (1, 16, 16, 16), "uint8", spacing=(1, 1, 1), compressor=compressor)
        writer.write((0, 0, 0), np.ones((1, 16, 16, 16), "uint8"))
    size = {name: (tmp_path / name / "0" / "c" / "0" / "0" / "0").stat().st_size for name in ("raw", "packed")}
    assert size["raw"] == 16**3
    assert size["packed"] < 200


def test_default_number_of_levels(tmp_path):
    writer = create_ome_zarr(tmp_path / "x.zarr", (1, 200, 100, 50), "uint8", spacing=(1, 1, 1), levels=None)
    assert writer.levels == 3
    assert writer.block_shape == (64, 64, 50)
    # Valid at any time: until `finish` there is one level.
    with pytest.raises(ValueError, match="level 1 does not exist"):
        open_volume(tmp_path / "x.zarr::1")


def test_writer_survives_pickling(tmp_path):
    writer = create_ome_zarr(tmp_path / "x.zarr", (1, 4, 4, 8), "uint8", spacing=(1, 1, 1), chunks=(4, 4, 4))
    writer.write((0, 0, 0), np.ones((1, 4, 4, 4), "uint8"))
    pickle.loads(pickle.dumps(writer)).write((0, 0, 4), np.full((1, 4, 4, 4), 2, "uint8"))
    np.testing.assert_array_equal(whole(open_volume(tmp_path / "x.zarr"))[0, 0, 0], [1] * 4 + [2] * 4)


def test_alignment(tmp_path):
    writer = create_ome_zarr(tmp_path / "x.zarr", (1, 10, 8, 8), "uint8", spacing=(1, 1, 1), chunks=(4, 4, 4))
    writer.write((8, 0, 0), np.ones((1, 2, 8, 4), "uint8"))  # ends at the border
    for start, size, message in (
        ((1, 0, 0), (4, 4, 4), "the box 1:5 along z does not fit the blocks of 4 voxels"),
        ((0, 0, 0), (4, 4, 3), "the box 0:3 along x .* expected multiples of 4, or the end at 8"),
    ):
        box = np.full((1, *size), 3, "uint8")
        with pytest.raises(ValueError, match=message):
            writer.write(start, box)
        writer.write(start, box, aligned=False)
        np.testing.assert_array_equal(open_volume(tmp_path / "x.zarr").read(start, size), box)


@pytest.mark.parametrize(
    ("start", "array", "message"),
    [
        (
            (8, 0, 0),
            np.zeros((1, 4, 4, 4), "uint8"),
            r"at \(8, 0, 0\) of size \(4, 4, 4\) reaches beyond .* \(10, 8, 8\)",
        ),
        ((0, 0, 0), np.zeros((2, 4, 4, 4), "uint8"), r"shape \(2, 4, 4, 4\), expected C D H W, C = 1"),
        ((0, 0, 0), np.zeros((4, 4, 4), "uint8"), r"shape \(4, 4, 4\), expected C D H W"),
        ((0, 0, 0), np.zeros((1, 4, 4, 4), "int16"), "array of int16, expected uint8; convert"),
    ],
)
def test_faults_of_write(tmp_path, start, array, message):
    writer = create_ome_zarr(tmp_path / "x.zarr", (1, 10, 8, 8), "uint8", spacing=(1, 1, 1), chunks=(4, 4, 4))
    with pytest.raises(ValueError, match=message):
        writer.write(start, array)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": "0.3"}, "version: expected one of 0.4, 0.5, got '0.3'"),
        ({"downsample": "men"}, r"downsample: .* got 'men' \(did you mean 'mean'\?\)"),
        ({"downsample": "normal"}, "vectors of 2 or 3 channels"),
        ({"dtype": "complex64"}, "expected bool, integer or float, got complex64"),
        ({"unit": "lightyear"}, "unit: got 'lightyear'"),
        ({"spacing": (1, 0, 1)}, r"spacing: expected three positive numbers, got \(1, 0, 1\)"),
        ({"chunks": (4, 4)}, r"chunks: expected three whole numbers \[D, H, W\], got \(4, 4\)"),
        ({"chunks": (4, 4, 4), "shards": (8, 8, 6)}, r"shards: \(8, 8, 6\) are no multiples of the chunks \(4, 4, 4\)"),
        ({"shards": (64, 64, 64), "version": "0.4"}, "shards need OME-Zarr 0.5"),
        ({"levels": 9}, r"at most 4 levels, got 9"),
        ({"attributes": {"ome": {}}}, r"attributes: \['ome'\] are written by create_ome_zarr itself"),
        ({"shape": (8, 8, 8)}, r"shape: expected C, D, H, W of at least 1 each, got \(8, 8, 8\)"),
    ],
)
def test_faults_of_create_leave_nothing_behind(tmp_path, options, message):
    arguments = {"shape": (1, 8, 8, 8), "dtype": "uint8", "spacing": (1, 1, 1)} | options
    with pytest.raises(ValueError, match=message):
        create_ome_zarr(tmp_path / "x.zarr", **arguments)
    assert not (tmp_path / "x.zarr").exists()


def test_overwrite(tmp_path):
    path = tmp_path / "x.zarr"
    writer = create_ome_zarr(path, (1, 8, 8, 8), "uint8", spacing=(1, 1, 1), levels=2)
    writer.write((0, 0, 0), np.ones((1, 8, 8, 8), "uint8"))
    writer.finish()
    with pytest.raises(FileExistsError, match=r"x.zarr exists; choose another path, or pass overwrite=True"):
        create_ome_zarr(path, (1, 4, 4, 4), "uint8", spacing=(1, 1, 1))
    create_ome_zarr(path, (1, 4, 4, 4), "uint8", spacing=(1, 1, 1), version="0.4", overwrite=True)
    assert whole(open_volume(path)).sum() == 0
    assert sorted(p.name for p in path.iterdir()) == [".zattrs", ".zgroup", "0"]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").touch()
    with pytest.raises(FileExistsError, match="is no zarr, so overwrite=True does not replace it"):
        create_ome_zarr(tmp_path / "notes", (1, 4, 4, 4), "uint8", spacing=(1, 1, 1), overwrite=True)
    assert (tmp_path / "notes" / "diary.txt").exists()


def test_url(caplog):
    path = "memory://writer/x.zarr"
    data = np.random.default_rng(0).integers(0, 99, (2, 8, 8, 8)).astype("uint8")
    for value in (0, 1):
        writer = create_ome_zarr(path, data.shape, "uint8", spacing=(1, 1, 1), levels=2, overwrite=value == 1)
        writer.write((0, 0, 0), data + np.uint8(value))
        writer.finish()
    with pytest.raises(FileExistsError, match=r"memory://writer/x\.zarr exists"):
        create_ome_zarr(path, data.shape, "uint8", spacing=(1, 1, 1))
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(whole(open_volume(path)), data + 1)
    assert open_volume(f"{path}::1").spatial_shape == (4, 4, 4)
