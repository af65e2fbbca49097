import logging
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zarr
from ome_zarr_models import v04, v05

from scripts.volumes import create_ome_zarr, lattice, open_volume

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


def test_shards_that_the_volume_cuts(tmp_path):
    """A block is a whole shard, also where the volume, or a chunk within it, ends before the shard does."""
    data = np.random.default_rng(0).integers(1, 255, (2, 11, 16, 13)).astype("u1")
    writer = create_ome_zarr(
        tmp_path / "x.zarr", data.shape, "u1", spacing=(1, 1, 1), chunks=(4, 4, 4), shards=(8, 8, 8)
    )
    assert writer.block_shape == (8, 8, 8)
    write_all(writer, data)
    array = zarr.open_array(tmp_path / "x.zarr" / "0")
    assert (array.shards, array.chunks) == ((2, 8, 8, 8), (1, 4, 4, 4))
    np.testing.assert_array_equal(array[...], data)
    volume = open_volume(tmp_path / "x.zarr")
    assert ((8, 8, 8), (3, 8, 5)) in volume.stored_chunks()
    assert ((8, 12, 12), (3, 4, 1)) in volume.stored_chunks(inside_shards=True)
    writer.write((8, 8, 8), np.zeros((2, 3, 8, 5), "u1"))
    assert ((8, 8, 8), (3, 8, 5)) not in volume.stored_chunks()
    with pytest.raises(ValueError, match="the box 0:4 along z does not fit the blocks of 8 voxels"):
        writer.write((0, 0, 0), np.zeros((2, 4, 8, 8), "u1"))


def test_threads_write_different_blocks(tmp_path):
    writer = create_ome_zarr(tmp_path / "x.zarr", (2, 33, 18, 35), "u1", spacing=(1, 1, 1), chunks=(4, 4, 8))
    data = np.random.default_rng(0).integers(0, 255, (2, 33, 18, 35)).astype("u1")
    boxes = [
        tuple(slice(low, low + n) for low, n in zip(*box, strict=True)) for box in lattice(data.shape[1:], (4, 4, 8))
    ]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda box: writer.write([s.start for s in box], data[(slice(None), *box)]), boxes))
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "x.zarr" / "0")[...], data)
