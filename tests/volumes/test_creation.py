"""New images: what is written before the first voxel, and what is not replaced."""

import itertools

import numpy as np
import pytest
import zarr
from tests.volumes import servers

from scripts.volumes import create_ome_zarr, open_volume
from scripts.volumes.layout import ArrayLayout


def whole(volume):
    return volume.read((0, 0, 0), volume.spatial_shape)


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


@pytest.fixture(scope="module")
def bucket():
    with servers.s3_server() as address:
        yield address


@pytest.fixture(params=["folder", "memory", "s3"])
def place(request, tmp_path, monkeypatch):
    """A local folder, or a URL, to write in."""
    if request.param == "folder":
        return str(tmp_path)
    if request.param == "memory":
        return f"memory://{tmp_path.name}"
    for name, value in {**servers.ACCESS, "AWS_ENDPOINT_URL": request.getfixturevalue("bucket")}.items():
        monkeypatch.setenv(name, value)
    return f"s3://bucket/{tmp_path.name}"


LAYOUTS = {
    "0.4": {"version": "0.4", "chunks": (4, 4, 4)},
    "0.5": {"chunks": (4, 4, 4)},
    "shards": {"chunks": (4, 4, 4), "shards": (8, 8, 8)},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_keep_goes_on_with_an_image(place, layout):
    path, data = f"{place}/x.zarr", np.random.default_rng(0).integers(1, 99, (2, 10, 8, 8)).astype("u1")
    options = {"spacing": (1, 1, 1), "levels": 2, "attributes": {"polytome": {"pair": (1, 2)}}, "keep": True} | layout
    create_ome_zarr(path, data.shape, "u1", **options).write((0, 0, 0), data[:, :8])
    writer = create_ome_zarr(path, data.shape, "u1", **options)
    writer.write((8, 0, 0), data[:, 8:])
    writer.finish()
    writer = create_ome_zarr(path, data.shape, "u1", **options)
    np.testing.assert_array_equal(whole(open_volume(path)), data)
    assert open_volume(path, level=1).spatial_shape == (5, 4, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (2, 10, 8, 9)}, r"shape \(2, 10, 8, 8\), not \(2, 10, 8, 9\)"),
        ({"dtype": "i2"}, "type uint8, not int16"),
        ({"chunks": (4, 4, 2)}, r"chunks \(1, 4, 4, 4\), not \(1, 4, 4, 2\)"),
        ({"shards": None}, r"shards \(2, 8, 8, 8\), not None"),
        ({"shards": (8, 8, 4)}, r"shards \(2, 8, 8, 8\), not \(2, 8, 8, 4\)"),
        ({"shards": None, "version": "0.4"}, "zarr format 3, not 2"),
    ],
    ids=str,
)
def test_keep_does_not_go_on_with_another_image(tmp_path, change, message):
    options = {"shape": (2, 10, 8, 8), "dtype": "u1", "spacing": (1, 1, 1), "keep": True} | LAYOUTS["shards"]
    create_ome_zarr(tmp_path / "x.zarr", **options)
    with pytest.raises(FileExistsError, match=rf"x\.zarr holds an image of .*{message}.*; choose another path"):
        create_ome_zarr(tmp_path / "x.zarr", **(options | change))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_keep_starts_again_where_a_creation_was_killed(place, layout, monkeypatch):
    """A kill before the first array is there leaves the group alone."""
    options = {"spacing": (1, 1, 1), "attributes": {"polytome": {"pair": (1, 2)}}, "keep": True} | layout

    def die(*_):
        raise KeyboardInterrupt

    path, data = f"{place}/x.zarr", np.ones((1, 8, 8, 8), "u1")
    with monkeypatch.context() as patch:
        patch.setattr(ArrayLayout, "create_level", die)
        with pytest.raises(KeyboardInterrupt):
            create_ome_zarr(path, data.shape, "u1", **options)
    with pytest.raises(FileExistsError, match=r"x\.zarr exists"):
        create_ome_zarr(path, data.shape, "u1", **(options | {"keep": False}))
    with pytest.raises(FileExistsError, match=r"x\.zarr exists"):  # another image's group
        create_ome_zarr(path, data.shape, "u1", **(options | {"attributes": {}}))
    create_ome_zarr(path, data.shape, "u1", **options).write((0, 0, 0), data)
    np.testing.assert_array_equal(whole(open_volume(path)), data)


def test_keep_starts_again_from_every_file_of_a_killed_creation(tmp_path):
    """Two files of the group come first, then two of the array; each is written under another name and renamed."""
    options = {"spacing": (1, 1, 1), "version": "0.4", "keep": True, "name": "x"}
    create_ome_zarr(tmp_path / "whole", (1, 4, 4, 4), "u1", **options)
    group, level = [".zgroup", ".zattrs"], ["0/.zarray", "0/.zattrs"]
    found = {p.relative_to(tmp_path / "whole").as_posix() for p in (tmp_path / "whole").rglob("*") if p.is_file()}
    assert found == {*group, *level}
    states = [
        *itertools.chain.from_iterable(itertools.combinations(group, n) for n in (0, 1)),
        *((*group, *some) for n in (0, 1) for some in itertools.combinations(level, n)),
    ]
    for number, present in enumerate(states):
        path = tmp_path / str(number)
        for file in (*group, *level):
            target = path / (file if file in present else f"{file}.0a1b.partial")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((tmp_path / "whole" / file).read_bytes())
        create_ome_zarr(path, (1, 4, 4, 4), "u1", **options).write((0, 0, 0), np.ones((1, 4, 4, 4), "u1"))
        assert whole(open_volume(path)).all()


def test_keep_replaces_nothing_else(tmp_path):
    for name in ("file", "notes", "other.zarr"):
        path = tmp_path / name
        if name == "file":
            path.write_bytes(b"mine")
        elif name == "notes":
            path.mkdir()
            (path / "diary.txt").touch()
        else:
            zarr.create_group(path, attributes={"author": "me"})
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises((FileExistsError, NotADirectoryError), match=name):
            create_ome_zarr(path, (1, 4, 4, 4), "u1", spacing=(1, 1, 1), keep=True)
        assert sorted(tmp_path.rglob("*")) == before
