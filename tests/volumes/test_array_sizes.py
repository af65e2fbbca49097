"""Arrays that claim to be larger than anything: refused before anything of that size is allocated."""

import gzip
import io
import json
import struct
import tracemalloc
import zipfile
import zlib

import nibabel
import numpy as np
import pytest
import tifffile
import zarr

from scripts.volumes import MetadataError, open_volume
from scripts.volumes.array_sizes import MOST_CHANNELS, MOST_CHUNK_BYTES

MOST_ALLOCATED = 20_000_000
"""Bytes; what the arrays claim is a thousand times as much at least."""


@pytest.fixture(autouse=True)
def little_is_allocated():
    tracemalloc.start()
    yield
    assert tracemalloc.get_traced_memory()[1] < MOST_ALLOCATED
    tracemalloc.stop()


def make(path, zarr_format, **changes):
    """An array of 4^3 chunks in 8^3 voxels, whose metadata then claim something else."""
    zarr.create_array(path, shape=(8, 8, 8), chunks=(4, 4, 4), dtype="u1", zarr_format=zarr_format)[...] = 1
    document = path / ("zarr.json" if zarr_format == 3 else ".zarray")
    content = json.loads(document.read_text())
    if zarr_format == 3 and "chunks" in changes:
        changes["chunk_grid"] = {"name": "regular", "configuration": {"chunk_shape": changes.pop("chunks")}}
    document.write_text(json.dumps(content | changes))
    return path


# fmt: off
CLAIMS = {
    "10^15 bytes": (
        {"chunks": [10**5] * 3},
        r"chunks of \[100000, 100000, 100000\] uint8, 1,000,000,000,000,000 bytes",
    ),
    "just too many": (
        {"chunks": [2**34 + 1, 1, 1]},
        f"17,179,869,185 bytes .*at most {MOST_CHUNK_BYTES:,}",
    ),
    "2^63": ({"chunks": [2**63, 4, 4]}, "bytes each; expected at most"),
    "zero": ({"chunks": [0, 4, 4]}, r"is \[0, 4, 4\]; expected a list of 3 whole numbers of at least 1"),
    "negative": ({"chunks": [-4, 4, 4]}, r"is \[-4, 4, 4\]; expected a list of 3 whole numbers"),
    "an axis less": ({"chunks": [4, 4]}, r"is \[4, 4\]; expected a list of 3 whole numbers"),
    "no whole number": ({"chunks": [4.0, 4, 4]}, r"is \[4\.0, 4, 4\]; expected a list of 3 whole numbers"),
    "shape of 2^63": ({"shape": [2**63, 8, 8]}, r"a shape of \[9223372036854775808, 8, 8\], 590,295,810,\S+ voxels"),
    "negative shape": (
        {"shape": [-8, 8, 8]},
        r"'shape' is \[-8, 8, 8\]; expected a list of whole numbers of at least 0",
    ),
    "empty": ({"shape": [0, 8, 8]}, r"the array is empty, shape \(0, 8, 8\)"),
    "axes": ({"shape": [8] * 100_000}, "'shape' is '100,000 axes'; expected at most 32"),
    "truth": ({"shape": [True, 8, 8]}, r"'shape' is \[True, 8, 8\]; expected"),
}
# fmt: on


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(("changes", "message"), CLAIMS.values(), ids=CLAIMS)
def test_zarr_headers(tmp_path, zarr_format, changes, message):
    path = make(tmp_path / "x.zarr", zarr_format, **changes)
    with pytest.raises(ValueError, match=rf"x\.zarr\S*: .*{message}"):
        open_volume(path)


@pytest.mark.parametrize(
    ("zarr_format", "key", "value"),
    [(2, "dtype", "|V999999999999999"), (2, "dtype", "<U99999999"), (2, "dtype", "|O"), (2, "dtype", "<c8"),
     (3, "data_type", "r999999999999999"), (3, "data_type", "float1000"), (3, "data_type", "complex64"),
     (3, "data_type", {"name": "fixed_length_utf32", "configuration": {"length_bytes": 2**40}})],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:The data type")
def test_absurd_types(tmp_path, zarr_format, key, value):
    path = make(tmp_path / "x.zarr", zarr_format, **{key: value})
    with pytest.raises(
        ValueError, match=r"x\.zarr: (the zarr metadata cannot be used|the array holds .*; expected bool)"
    ):
        open_volume(path)


def test_the_largest_chunk_that_is_taken_opens(tmp_path):
    assert open_volume(make(tmp_path / "x.zarr", 2, chunks=[2**34, 1, 1])).chunks == (2**34, 1, 1)


def test_chunks_within_shards(tmp_path):
    path = tmp_path / "x.zarr"
    zarr.create_array(path, shape=(8,) * 3, chunks=(2,) * 3, shards=(8,) * 3, dtype="u1")
    content = json.loads((path / "zarr.json").read_text())
    (codec,) = content["codecs"]

    def claim(shard, inner):
        content["chunk_grid"]["configuration"]["chunk_shape"] = [shard] * 3
        codec["configuration"]["chunk_shape"] = [inner] * 3
        (path / "zarr.json").write_text(json.dumps(content))
        return path

    with pytest.raises(MetadataError, match=r"chunks of \[100000, 100000, 100000\] uint8, 1,000,000,000,000,000 bytes"):
        open_volume(claim(10**6, 10**5))
    message = r"shards of 1,000,000,000,000 chunks each, whose index alone takes 16,000,000,000,000 bytes"
    with pytest.raises(MetadataError, match=message):
        open_volume(claim(10**4, 1))
    with pytest.raises(MetadataError, match=r"'chunk_shape' is \[3, 3, 3\]; expected sizes by which .*\[8, 8, 8\]"):
        open_volume(claim(8, 3))
    assert open_volume(claim(10**6, 2000)).chunks == (2000, 2000, 2000)


def test_a_level_of_an_image(tmp_path):
    """What is found behind a group is checked as what is opened by itself."""
    group = zarr.create_group(tmp_path / "x.zarr")
    make(tmp_path / "x.zarr" / "0", 3, chunks=[10**5] * 3)
    axes = [{"name": a, "type": "space"} for a in "zyx"]
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1]}]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    with pytest.raises(MetadataError, match=r"x\.zarr/0: the metadata claim chunks"):
        open_volume(tmp_path / "x.zarr")


def test_channels(tmp_path):
    zarr.create_array(tmp_path / "x.zarr", shape=(MOST_CHANNELS + 1, 1, 4, 4), chunks=(1, 1, 4, 4), dtype="u1")
    with pytest.raises(MetadataError, match=r"x\.zarr: the metadata claim 65,537 channels; expected at most 65,536"):
        open_volume(tmp_path / "x.zarr")


def test_metadata_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.volumes.metadata_documents.MOST_METADATA_BYTES", 1000)
    path = make(tmp_path / "x.zarr", 3, attributes={"note": "x" * 1000})
    with pytest.raises(MetadataError, match=r"x\.zarr/zarr\.json: 1,\d\d\d bytes of metadata; expected at most 1,000"):
        open_volume(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("version", [1, 2])
def test_nifti_headers(tmp_path, suffix, version):
    kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
    header = kind(np.zeros((4, 4, 4), "u1"), np.eye(4)).header
    header["dim"][1:4] = 30_000 if version == 1 else 10**5
    content = header.binaryblock + bytes(400)
    (tmp_path / f"x{suffix}").write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    claimed = "27,000,000,000,000" if version == 1 else "1,000,000,000,000,000"
    with pytest.raises(MetadataError, match=rf"x{suffix}: the header claims {claimed} bytes .* but the file has \d+"):
        open_volume(tmp_path / f"x{suffix}")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_of_negative_size(tmp_path, suffix):
    header = nibabel.Nifti1Image(np.zeros((4, 4, 4), "u1"), np.eye(4)).header
    header["dim"][1] = -4
    content = header.binaryblock + bytes(400)
    (tmp_path / f"x{suffix}").write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    with pytest.raises(ValueError, match=rf"x{suffix}: .*-4"):
        open_volume(tmp_path / f"x{suffix}")


def test_tiff_headers(tmp_path):
    """A page of 2^31 by 2^31 pixels in a file of some hundred bytes."""
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((16, 16), "u1"), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tiff.pages.first.tags[name].overwrite(2**31, dtype="I")
    with pytest.raises(ValueError, match=r"x\.tif: .*(2147483648|4,611,686,018,427,387,904)"):
        open_volume(path)


def test_npy_headers(tmp_path):
    path = tmp_path / "x.npy"
    for shape in ((10**5,) * 3, (2**63, 8, 8), (-8, 8, 8)):
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            file.write(bytes(100))
        with pytest.raises(ValueError, match=r"x\.npy: not a readable \.npy array"):
            open_volume(path)


def test_npz_headers(tmp_path):
    """What an archive is not large enough for is not allocated."""
    np.savez_compressed(tmp_path / "good.npz", np.zeros((8, 8, 8), "u1"))
    for shape in ((10**5,) * 3, (2**63, 8, 8), (-8, 8, 8)):
        content = io.BytesIO()
        np.lib.format.write_array_header_1_0(content, {"descr": "|u1", "fortran_order": False, "shape": shape})
        with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("arr_0.npy", content.getvalue() + bytes(100))
        with pytest.raises(ValueError, match=r"x\.npz: "):
            open_volume(tmp_path / "x.npz")


def test_png_headers(tmp_path):
    """A picture of 2^31 - 1 by 2^31 - 1 pixels."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 0, 0, 0, 0)
    (tmp_path / "x.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0"))
    )
    with pytest.raises(ValueError, match=r"x\.png: "):
        open_volume(tmp_path / "x.png")
