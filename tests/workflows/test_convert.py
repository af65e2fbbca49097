import importlib
import tracemalloc

import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from ome_zarr_models import v04, v05

from scripts.volumes import NORMAL_INT8, CorruptChunkError, create_ome_zarr, encode, open_volume

# The room exports the function `convert`, which hides the module of that name.
module = importlib.import_module("scripts.workflows.convert")
convert = module.convert


def whole(volume):
    return volume.read((0, 0, 0), volume.spatial_shape)


@pytest.fixture
def data():
    return np.random.default_rng(0).integers(0, 999, (9, 20, 30)).astype("uint16")


def write_nifti(path, data):
    image = nibabel.Nifti1Image(data.transpose(2, 1, 0), np.diag([1.5, 2.0, 3.0, 1.0]))
    nibabel.save(image, path)


WRITERS = {
    "x.npy": np.save,
    "x.tif": lambda path, data: tifffile.imwrite(path, data, photometric="minisblack", compression="zlib"),
    "x.nii.gz": write_nifti,
    "x.zarr": lambda path, data: zarr.create_array(path, data=data, chunks=(4, 7, 11)),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("buffer", [1000, 2**28])
def test_formats(tmp_path, monkeypatch, data, name, buffer):
    monkeypatch.setattr(module, "_BUFFER_BYTES", buffer)  # many small boxes, or one
    WRITERS[name](tmp_path / name, data)
    assert convert(tmp_path / name, tmp_path / "out" / "y.zarr", chunks=[4, 8, 8]) == str(tmp_path / "out" / "y.zarr")
    volume = open_volume(tmp_path / "out" / "y.zarr")
    np.testing.assert_array_equal(whole(volume)[0], data)
    assert volume.dtype == np.uint16
    assert volume.chunks == (4, 8, 8)
    stated = (3.0, 2.0, 1.5) if name == "x.nii.gz" else (1.0, 1.0, 1.0)
    assert volume.spacing == stated
    assert volume.unit == ("mm" if name == "x.nii.gz" else None)
    assert ("nifti_affine" in volume.attributes) == (name == "x.nii.gz")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["y.zarr"]


def test_geometry_is_kept_or_replaced(tmp_path, data):
    source = create_ome_zarr(
        tmp_path / "x.zarr", (1, *data.shape), "uint16", spacing=(3, 2, 1), translation=(7, 8, 9), unit="nm", levels=2
    )
    source.write((0, 0, 0), data[None])
    source.finish()
    kept = open_volume(convert(tmp_path / "x.zarr", tmp_path / "kept.zarr"))
    assert (kept.spacing, kept.translation, kept.unit) == ((3, 2, 1), (7, 8, 9), "nm")
    replaced = open_volume(convert(tmp_path / "x.zarr", tmp_path / "replaced.zarr", spacing=[6, 4, 2], unit="um"))
    assert (replaced.spacing, replaced.translation, replaced.unit) == ((6, 4, 2), (0, 0, 0), "um")
    for n, options in enumerate(({"level": 1}, {})):
        name = "x.zarr" if options else "x.zarr::1"
        coarse = open_volume(convert(f"{tmp_path}/{name}", tmp_path / f"coarse{n}.zarr", **options))
        np.testing.assert_array_equal(whole(coarse), whole(open_volume(f"{tmp_path}/x.zarr::1")))
        assert coarse.translation == open_volume(f"{tmp_path}/x.zarr::1").translation


@pytest.mark.parametrize("version", ["0.4", "0.5", 0.4])
def test_layout_options(tmp_path, data, version):
    np.save(tmp_path / "x.npy", data)
    shards = 8 if version == "0.5" else None
    path = convert(tmp_path / "x.npy", tmp_path / "y.zarr", version=version, chunks=4, shards=shards, levels=3)
    group = zarr.open_group(path, mode="r")
    models = v05 if version == "0.5" else v04
    image = models.Image.from_zarr(group)
    multiscale = (image.ome_attributes if version == "0.5" else image.attributes).multiscales[0]
    assert multiscale.name == "y"
    assert len(multiscale.datasets) == 3
    assert group["0"].chunks == (4, 4, 4)
    assert group["0"].shards == ((8, 8, 8) if shards else None)


@pytest.mark.parametrize(
    ("dtype", "kind", "expected"),
    [
        ("uint8", "auto", "mean"),
        ("float32", "auto", "mean"),
        ("uint32", "auto", "mode"),
        ("bool", "auto", "mode"),
        ("uint8", "label", "mode"),
        ("uint32", "image", "mean"),
    ],
)
def test_kind_chooses_how_levels_are_made(tmp_path, dtype, kind, expected):
    data = np.zeros((2, 2, 2), dtype)
    data[0, 0] = 1
    data[0, 1, 0] = 1  # three of eight
    np.save(tmp_path / "x.npy", data)
    path = convert(tmp_path / "x.npy", tmp_path / "y.zarr", kind=kind, levels=2)
    assert zarr.open_group(path).attrs["ome"]["multiscales"][0]["type"] == expected
    value = 3 / 8 if dtype == "float32" else 0
    assert whole(open_volume(f"{path}::1")).item() == value


def test_stored_labels_and_normals_are_known_by_their_metadata(tmp_path):
    labels = zarr.create_array(tmp_path / "l.zarr", shape=(4, 4, 4), dtype="uint8")
    labels.attrs["image-label"] = {}
    path = convert(tmp_path / "l.zarr", tmp_path / "labels.zarr", levels=2)
    assert zarr.open_group(path).attrs["ome"]["multiscales"][0]["type"] == "mode"
    normals = np.zeros((3, 4, 4, 4), "float32")
    normals[0] = 1
    zarr.create_array(
        tmp_path / "n.zarr", data=encode(normals, NORMAL_INT8, "int8"), attributes=NORMAL_INT8.as_attributes()
    )
    path = convert(tmp_path / "n.zarr", tmp_path / "normals.zarr", levels=2)
    assert zarr.open_group(path).attrs["ome"]["multiscales"][0]["type"] == "normal"
    coarse = open_volume(f"{path}::1")
    np.testing.assert_allclose(coarse.decode(whole(coarse))[0], 1.0, atol=1e-6)


def test_time_point(tmp_path, data):
    zarr.create_array(tmp_path / "x.zarr", data=data, dimension_names=["t", "y", "x"])
    np.testing.assert_array_equal(
        whole(open_volume(convert(tmp_path / "x.zarr", tmp_path / "y.zarr", time=4)))[0, 0], data[4]
    )


def test_absent_chunks_are_neither_read_nor_written(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_BUFFER_BYTES", 1000)
    array = zarr.create_array(tmp_path / "x.zarr", shape=(64, 64, 64), chunks=(8, 8, 8), dtype="uint8", fill_value=3)
    array[8:16, 56:64, 0:8] = 9
    reads = []
    original = module.Volume.read
    monkeypatch.setattr(module.Volume, "read", lambda self, *a, **k: reads.append(a[0]) or original(self, *a, **k))
    path = convert(tmp_path / "x.zarr", tmp_path / "y.zarr", chunks=8, levels=1)
    assert reads == [(8, 56, 0)]
    copy = open_volume(path)
    assert copy.stored_chunks() == [((8, 56, 0), (8, 8, 8))]
    np.testing.assert_array_equal(whole(copy)[0], array[:])


def test_memory_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_BUFFER_BYTES", 2**20)
    np.save(tmp_path / "x.npy", np.ones((256, 128, 256), "float32"))  # 32 MB
    convert(tmp_path / "x.npy", tmp_path / "warm.zarr", levels=1, chunks=32)
    tracemalloc.start()
    convert(tmp_path / "x.npy", tmp_path / "y.zarr", levels=2, chunks=32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 2**20


def test_failure_leaves_nothing_behind(tmp_path, data):
    array = zarr.create_array(tmp_path / "x.zarr", data=data, chunks=(4, 20, 30))
    assert array.shape == data.shape
    (tmp_path / "x.zarr" / "c" / "1" / "0" / "0").write_bytes(b"broken")
    out = tmp_path / "out"
    with pytest.raises(CorruptChunkError, match=r"x.zarr: chunk 'c/1/0/0'"):
        convert(tmp_path / "x.zarr", out / "y.zarr", chunks=4)
    assert list(out.iterdir()) == []


def test_overwrite_replaces_only_when_complete(tmp_path, data):
    np.save(tmp_path / "x.npy", data)
    path = convert(tmp_path / "x.npy", tmp_path / "y.zarr")
    np.save(tmp_path / "x.npy", data + np.uint16(1))
    with pytest.raises(FileExistsError, match=r"y.zarr exists; choose another path, or pass --overwrite"):
        convert(tmp_path / "x.npy", path)
    with pytest.raises(FileNotFoundError, match=r"gone.npy does not exist"):
        convert(tmp_path / "gone.npy", path, overwrite=True)
    np.testing.assert_array_equal(whole(open_volume(path))[0], data)
    (tmp_path / "y.zarr.partial").mkdir()  # of a run that was killed
    convert(tmp_path / "x.npy", path, overwrite=True)
    np.testing.assert_array_equal(whole(open_volume(path))[0], data + 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.npy", "y.zarr"]


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        ("y.zarr", {"kind": "labels"}, r"kind: .* got 'labels' \(did you mean 'label'\?\)"),
        ("y.tif", {}, r"output: expected a name that ends in .zarr, got .*y.tif"),
        ("y.zarr", {"version": "0.6"}, "got '0.6'"),
        ("y.zarr", {"level": 1}, "level 1 does not exist"),
        ("y.zarr", {"spacing": [1, 1]}, r"spacing: expected three numbers \[z, y, x\], got \[1, 1\]"),
        ("y.zarr", {"levels": 99}, "got 99"),
    ],
)
def test_faults(tmp_path, data, output, options, message):
    np.save(tmp_path / "x.npy", data)
    with pytest.raises(ValueError, match=message):
        convert(tmp_path / "x.npy", tmp_path / output, **options)
    assert [p.name for p in tmp_path.iterdir()] == ["x.npy"]


def test_output_that_is_no_place_for_it(tmp_path, data):
    np.save(tmp_path / "x.npy", data)
    with pytest.raises(ValueError, match=r"output: got the URL s3://b/y.zarr; expected a local path"):
        convert(tmp_path / "x.npy", "s3://b/y.zarr")
    zarr.create_array(tmp_path / "x.zarr", data=data)
    with pytest.raises(ValueError, match=r"output: .*x.zarr is the input itself"):
        convert(f"{tmp_path}/x.zarr::0", tmp_path / "x.zarr", overwrite=True)
    (tmp_path / "diary.zarr").mkdir()
    (tmp_path / "diary.zarr" / "monday.txt").touch()
    with pytest.raises(FileExistsError, match=r"diary.zarr exists and is no zarr, so it is not replaced"):
        convert(tmp_path / "x.npy", tmp_path / "diary.zarr", overwrite=True)


@pytest.mark.real_data
class TestRealVolumes:
    def test_hippocampus(self, real_data, tmp_path):
        source = sorted((real_data / "hippocampus" / "images").glob("*.nii.gz"))[1]
        volume = open_volume(convert(source, tmp_path / "y.zarr"))
        image = nibabel.load(source)
        np.testing.assert_array_equal(whole(volume)[0], np.asarray(image.dataobj).transpose(2, 1, 0))
        np.testing.assert_allclose(volume.spacing, image.header.get_zooms()[::-1])
        np.testing.assert_array_equal(volume.attributes["nifti_affine"], image.affine)

    def test_fib_sem(self, real_data, tmp_path):
        source = real_data / "em_fibsem" / "medulla250_raw.tif"
        path = convert(source, tmp_path / "y.zarr", spacing=[10, 10, 10], unit="nm", shards=128)
        volume = open_volume(path)
        assert (volume.spacing, volume.unit) == ((10.0, 10.0, 10.0), "nm")
        np.testing.assert_array_equal(whole(volume)[0], tifffile.imread(source))
        assert open_volume(f"{path}::2").spatial_shape == (63, 63, 63)
        assert open_volume(f"{path}::2").translation == (15.0, 15.0, 15.0)

    def test_nuclei(self, real_data, tmp_path):
        source = real_data / "ome_zarr" / "6001240_labels_v0.5.zarr"
        volume = open_volume(convert(source / "labels" / "0", tmp_path / "y.zarr", version="0.4", level=2))
        np.testing.assert_array_equal(whole(volume), zarr.open_array(source / "labels" / "0" / "2")[:])
        assert volume.spacing == open_volume(source).spacing
        multiscale = zarr.open_group(tmp_path / "y.zarr").attrs["multiscales"][0]
        assert multiscale["type"] == "mode"  # the metadata call it an image-label


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(tmp_path, data):
    np.save(tmp_path / "x.npy", data)
    said = convert(tmp_path / "x.npy", tmp_path / "y.zarr", spacing=(2, 1, 1), unit="um", levels=2, dry_run=True)
    z, y, x = data.shape
    assert said.splitlines()[1:3] == [
        f"level 0: {z} x {y} x {x} voxels, spacing [2.0, 1.0, 1.0]",
        f"level 1: {z} x {-(-y // 2)} x {-(-x // 2)} voxels, spacing [2.0, 2.0, 2.0]",  # z is coarse already
    ]
    assert said.endswith(f"dry run: {tmp_path / 'y.zarr'} is not written")
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]
    with pytest.raises(ValueError, match="version"):
        convert(tmp_path / "x.npy", tmp_path / "y.zarr", version="0.3", dry_run=True)
