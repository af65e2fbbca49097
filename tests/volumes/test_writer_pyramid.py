"""Coarser levels that a writer builds: by hand, in threads, in other processes, and again after a kill."""

import multiprocessing
import pickle

import numpy as np
import pytest
import zarr
from tests.volumes import servers

from scripts.volumes import NORMAL_INT8, create_ome_zarr, encode, lattice, open_volume, set_chunk_cache
from scripts.volumes.writable_array import WritableArray


def whole(volume):
    return volume.read((0, 0, 0), volume.spatial_shape)


def write_all(writer, data):
    for start, size in lattice(data.shape[1:], writer.block_shape):
        box = tuple(slice(low, low + n) for low, n in zip(start, size, strict=True))
        writer.write(start, data[(slice(None), *box)])


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


def files(folder):
    """Every file's content."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


PYRAMIDS = {
    "labels 0.4": {"version": "0.4", "downsample": "mode", "chunks": (4, 4, 8)},
    "mean": {"chunks": (4, 4, 8)},
    "shards": {"chunks": (4, 4, 8), "shards": (8, 8, 16)},
}


def start_pyramid(path, options):
    """An image of two channels, three levels, and half of its blocks."""
    data = np.random.default_rng(0).integers(0, 4, (2, 33, 18, 35)).astype("u1")
    data[:, :16] = 0
    writer = create_ome_zarr(path, data.shape, "u1", spacing=(1, 1, 1), levels=3, name="x", **options)
    write_all(writer, data)
    return writer, data


@pytest.mark.parametrize("options", PYRAMIDS.values(), ids=PYRAMIDS)
@pytest.mark.parametrize("workers", [2, 5])
def test_threads_do_not_change_a_byte(tmp_path, options, workers):
    for name, count in (("one", 1), ("many", workers)):
        start_pyramid(tmp_path / name, options)[0].finish(workers=count)
    assert files(tmp_path / "one") == files(tmp_path / "many")
    assert len(files(tmp_path / "one")) > 20


@pytest.mark.parametrize("options", PYRAMIDS.values(), ids=PYRAMIDS)
def test_blocks_by_copies_in_any_order(tmp_path, options):
    start_pyramid(tmp_path / "one", options)[0].finish()
    writer, _ = start_pyramid(tmp_path / "many", options)
    for level in writer.pyramid_levels():
        writer.start_level(level)
        for index in writer.level_blocks(level)[::-1]:
            pickle.loads(pickle.dumps(writer)).write_level_block(level, index)
    assert writer.list_levels() == str(tmp_path / "many")
    assert files(tmp_path / "one") == files(tmp_path / "many")


def test_blocks_by_another_process(tmp_path):
    start_pyramid(tmp_path / "one", PYRAMIDS["shards"])[0].finish()
    writer, _ = start_pyramid(tmp_path / "many", PYRAMIDS["shards"])
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        for level in writer.pyramid_levels():
            writer.start_level(level)
            pool.starmap(writer.write_level_block, [(level, index) for index in writer.level_blocks(level)])
    writer.list_levels()
    assert files(tmp_path / "one") == files(tmp_path / "many")


def test_only_blocks_above_something_are_computed(tmp_path):
    writer = create_ome_zarr(tmp_path / "x.zarr", (1, 32, 32, 32), "u1", spacing=(1, 1, 1), chunks=(4, 4, 4), levels=3)
    writer.write((24, 16, 8), np.ones((1, 4, 4, 4), "u1"))
    assert list(writer.pyramid_levels()) == [1, 2]
    assert writer.level_blocks(1) == [(3, 2, 1)]
    writer.start_level(1)
    assert writer.level_blocks(2) == []
    writer.write_level_block(1, (3, 2, 1))
    assert writer.level_blocks(2) == [(1, 1, 0)]


@pytest.mark.parametrize("options", PYRAMIDS.values(), ids=PYRAMIDS)
@pytest.mark.parametrize("killed_after", [0, 1, 5])
def test_a_killed_finish_is_done_again(tmp_path, options, killed_after):
    start_pyramid(tmp_path / "one", options)[0].finish()
    writer, data = start_pyramid(tmp_path / "again", options)
    writer.start_level(1)
    for index in writer.level_blocks(1)[:killed_after]:
        writer.write_level_block(1, index)
    (tmp_path / "again" / "1" / "0.__lock").touch()  # what a killed process leaves
    assert len(open_volume(tmp_path / "again").read((0, 0, 0), (1, 1, 1))) == 2  # valid, with its finest level
    writer = create_ome_zarr(
        tmp_path / "again", data.shape, "u1", spacing=(1, 1, 1), levels=3, name="x", keep=True, **options
    )
    writer.finish(workers=2)
    assert files(tmp_path / "one") == files(tmp_path / "again")


def test_finish_again_shows_what_was_written_in_between(tmp_path):
    set_chunk_cache(10**6)
    try:
        writer, data = start_pyramid(tmp_path / "x.zarr", PYRAMIDS["mean"])
        writer.finish()
        write_all(writer, data[:, ::-1].copy())
        writer.finish()
    finally:
        set_chunk_cache(0)
    other, _ = start_pyramid(tmp_path / "y.zarr", PYRAMIDS["mean"])
    write_all(other, data[:, ::-1].copy())
    other.finish()
    assert files(tmp_path / "x.zarr") == files(tmp_path / "y.zarr")


def test_means_of_means_in_shards_by_hand(tmp_path):
    data = np.random.default_rng(0).normal(size=(2, 32, 16, 16)).astype("f4")
    writer = create_ome_zarr(
        tmp_path / "x.zarr", data.shape, "f4", spacing=(1, 1, 1), levels=3, chunks=(4, 4, 4), shards=(8, 8, 8)
    )
    write_all(writer, data)
    writer.finish(workers=2)
    for level, factor in ((1, 2), (2, 4)):
        d, h, w = (n // factor for n in data.shape[1:])
        expected = data.reshape(2, d, factor, h, factor, w, factor).mean(axis=(2, 4, 6))
        np.testing.assert_allclose(zarr.open_array(tmp_path / "x.zarr" / str(level))[...], expected, atol=1e-6)


@pytest.mark.parametrize(("downsample", "channels"), [("mean", 1), ("normal", 3)])
def test_a_shard_is_made_from_one_finer_chunk_at_a_time(tmp_path, monkeypatch, downsample, channels):
    data = np.ones((3, 32, 32, 32), "f4")
    writer = create_ome_zarr(
        tmp_path / "x.zarr", data.shape, "f4", spacing=(1, 1, 1), levels=2, chunks=(4, 4, 4), shards=(16, 16, 16),
        downsample=downsample,
    )  # fmt: skip
    write_all(writer, data)
    read, shapes = WritableArray.read, []

    def note(array, *box):
        shapes.append(read(array, *box).shape)
        return read(array, *box)

    monkeypatch.setattr(WritableArray, "read", note)
    writer.finish()
    assert set(shapes) == {(channels, 4, 4, 4)}
    assert len(shapes) == 512 * 3 // channels


@pytest.mark.parametrize(
    ("kind", "layout"), [("memory", "mean"), ("memory", "labels 0.4"), ("memory", "shards"), ("s3", "shards")]
)
def test_pyramids_under_urls(tmp_path, request, monkeypatch, kind, layout):
    place = f"memory://{tmp_path.name}"
    if kind == "s3":
        for name, value in {**servers.ACCESS, "AWS_ENDPOINT_URL": request.getfixturevalue("bucket")}.items():
            monkeypatch.setenv(name, value)
        place = f"s3://bucket/{tmp_path.name}"
    start_pyramid(tmp_path / "x.zarr", PYRAMIDS[layout])[0].finish()
    writer, _ = start_pyramid(f"{place}/x.zarr", PYRAMIDS[layout])
    writer.start_level(1)
    writer.write_level_block(1, writer.level_blocks(1)[0])  # and killed
    writer.finish(workers=3)
    for level in range(3):
        there, here = open_volume(f"{place}/x.zarr", level=level), open_volume(tmp_path / "x.zarr", level=level)
        np.testing.assert_array_equal(whole(there), whole(here))
        assert there.stored_chunks() == here.stored_chunks()
        assert there.translation == here.translation


@pytest.fixture(scope="module")
def bucket():
    with servers.s3_server() as address:
        yield address


def test_a_block_that_fails_ends_finish(tmp_path, monkeypatch):
    writer, _ = start_pyramid(tmp_path / "x.zarr", PYRAMIDS["mean"])
    calls = []

    def fail(array, box, values):
        calls.append(box)
        raise OSError(28, "full")

    monkeypatch.setattr(WritableArray, "write", fail)
    with pytest.raises(OSError, match="full"):
        writer.finish(workers=2)
    assert len(calls) < len(writer.level_blocks(1))
    assert open_volume(tmp_path / "x.zarr").spatial_shape == (33, 18, 35)
    with pytest.raises(ValueError, match="level 1 does not exist"):
        open_volume(tmp_path / "x.zarr::1")


def test_no_threads(tmp_path):
    writer = create_ome_zarr(tmp_path / "x.zarr", (1, 4, 4, 4), "u1", spacing=(1, 1, 1))
    with pytest.raises(ValueError, match="workers: expected at least 1 thread, got 0"):
        writer.finish(workers=0)
