"""NIfTI, TIFF and npy against the libraries that wrote them."""

import os

import nibabel
import numpy as np
import pytest
import tifffile

from scripts.volumes import CorruptChunkError, open_volume


def whole(volume):
    return volume.read((0, 0, 0), volume.spatial_shape)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
class TestNifti:
    def test_axes_and_spacing_are_reversed(self, tmp_path, suffix):
        data = np.random.default_rng(0).integers(-99, 99, (4, 5, 6)).astype("int16")  # x y z
        affine = np.array([[0, -2.0, 0, 7], [1.5, 0, 0, 8], [0, 0, 3.0, 9], [0, 0, 0, 1]])
        nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / f"x{suffix}")
        volume = open_volume(tmp_path / f"x{suffix}")
        assert volume.shape == (1, 6, 5, 4)
        assert (volume.spacing, volume.translation, volume.unit) == ((3.0, 2.0, 1.5), (0.0, 0.0, 0.0), "mm")
        assert volume.attributes["nifti_affine"] == affine.tolist()
        assert volume.dtype == np.int16
        np.testing.assert_array_equal(whole(volume)[0], data.transpose(2, 1, 0))  # x y z -> z y x
        np.testing.assert_array_equal(volume.read((1, 2, 3), (2, 2, 1))[0], data[3:4, 2:4, 1:3].transpose(2, 1, 0))
        assert volume.stored_chunks() == [((0, 0, 0), (6, 5, 4))]

    def test_slope_is_applied(self, tmp_path, suffix):
        image = nibabel.Nifti1Image(np.arange(8, dtype="int16").reshape(2, 2, 2), np.eye(4))
        image.header.set_slope_inter(0.5, -1.0)
        image.header.set_xyzt_units("micron")
        nibabel.save(image, tmp_path / f"x{suffix}")
        raw = np.asarray(nibabel.load(tmp_path / f"x{suffix}").dataobj.get_unscaled())
        volume = open_volume(tmp_path / f"x{suffix}")
        assert volume.dtype == np.float32
        assert volume.unit == "um"
        np.testing.assert_allclose(whole(volume)[0], raw.transpose(2, 1, 0) * 0.5 - 1.0)

    def test_fourth_and_fifth_axis_are_channels(self, tmp_path, suffix):
        data = np.random.default_rng(0).normal(size=(4, 5, 6, 3)).astype("float32")
        for shape in ((4, 5, 6, 3), (4, 5, 6, 1, 3)):
            nibabel.save(nibabel.Nifti1Image(data.reshape(shape), np.eye(4)), tmp_path / f"x{suffix}")
            np.testing.assert_array_equal(whole(open_volume(tmp_path / f"x{suffix}")), data.transpose(3, 2, 1, 0))

    def test_cut_file(self, tmp_path, suffix):
        path = tmp_path / f"x{suffix}"
        nibabel.save(
            nibabel.Nifti1Image(np.random.default_rng(0).integers(0, 255, (40, 40, 40), "uint8"), np.eye(4)), path
        )
        path.write_bytes(path.read_bytes()[:30000])
        with pytest.raises(
            CorruptChunkError, match=rf"x{suffix}: chunk 'whole file' \(stored voxels \[0:40, 0:40, 0:40\]"
        ):
            whole(open_volume(path))

    def test_no_nifti(self, tmp_path, suffix):
        (tmp_path / f"x{suffix}").write_bytes(b"no")
        with pytest.raises(ValueError, match=rf"x{suffix}: no readable NIfTI file"):
            open_volume(tmp_path / f"x{suffix}")


class TestTiff:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"compression": "zlib"},
            {"compression": "zlib", "tile": (16, 16)},
            {"byteorder": ">"},
            {"metadata": {"axes": "ZYX"}, "imagej": True},
            {"metadata": None},
        ],
        ids=str,
    )
    def test_stack(self, tmp_path, options):
        data = np.random.default_rng(0).integers(0, 999, (5, 20, 30)).astype("uint16")
        tifffile.imwrite(tmp_path / "x.tif", data, photometric="minisblack", **options)
        volume = open_volume(tmp_path / "x.tif", spacing=[4, 5, 6])
        assert volume.shape == (1, 5, 20, 30)
        assert (volume.spacing, volume.unit) == ((4.0, 5.0, 6.0), None)
        assert volume.dtype == np.dtype("uint16")
        np.testing.assert_array_equal(whole(volume)[0], data)
        np.testing.assert_array_equal(volume.read((1, 3, 17), (3, 9, 5))[0], data[1:4, 3:12, 17:22])

    def test_samples_are_channels(self, tmp_path):
        data = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype("uint8")
        tifffile.imwrite(tmp_path / "x.tiff", data, photometric="rgb")
        np.testing.assert_array_equal(whole(open_volume(tmp_path / "x.tiff"))[:, 0], data.transpose(2, 0, 1))

    def test_imagej_geometry(self, tmp_path):
        metadata = {"spacing": 2.5, "unit": "um", "axes": "ZCYX"}
        data = np.random.default_rng(0).integers(0, 255, (5, 2, 8, 9)).astype("uint8")
        tifffile.imwrite(tmp_path / "x.tif", data, imagej=True, resolution=(4, 2), metadata=metadata)
        volume = open_volume(tmp_path / "x.tif")
        assert (volume.spacing, volume.unit) == ((2.5, 0.5, 0.25), "um")
        np.testing.assert_array_equal(whole(volume), data.transpose(1, 0, 2, 3))

    def test_ome_geometry(self, tmp_path):
        sizes = {f"PhysicalSize{a}": s for a, s in zip("ZYX", (400.0, 130.0, 120.0), strict=True)}
        units = {f"PhysicalSize{a}Unit": "nm" for a in "ZYX"}
        tifffile.imwrite(
            tmp_path / "x.ome.tif", np.zeros((5, 8, 9), "uint8"), metadata={"axes": "ZYX", **sizes, **units}
        )
        volume = open_volume(tmp_path / "x.ome.tif")
        assert (volume.spacing, volume.unit) == ((400.0, 130.0, 120.0), "nm")

    def test_broken_page(self, tmp_path):
        path = tmp_path / "x.tif"
        data = np.random.default_rng(0).integers(0, 255, (5, 20, 30)).astype("uint8")
        tifffile.imwrite(path, data, compression="zlib", photometric="minisblack")
        with tifffile.TiffFile(path) as tiff:
            offset, count = tiff.pages[3].dataoffsets[0], tiff.pages[3].databytecounts[0]
        content = bytearray(path.read_bytes())
        content[offset : offset + count] = b"\xff" * count
        path.write_bytes(content)
        with pytest.raises(CorruptChunkError, match=r"chunk 'index 3' \(stored voxels \[3:4, 0:20, 0:30\]\)"):
            whole(open_volume(path))

    def test_unknown_axes(self, tmp_path):
        tifffile.imwrite(
            tmp_path / "x.tif", np.zeros((2, 3, 8, 9), "uint8"), photometric="minisblack", metadata={"axes": "RAYX"}
        )
        with pytest.raises(ValueError, match="TIFF axes RAYX; expected T, C, Z, Y, X"):
            open_volume(tmp_path / "x.tif")

    def test_compression_that_needs_imagecodecs_names_the_extra(self, tmp_path, monkeypatch):
        tifffile.imwrite(tmp_path / "x.tif", np.zeros((2, 16, 16), "uint8"), compression="zlib")
        # What tifffile offers where it cannot decode: a table without the compression.
        monkeypatch.setattr(tifffile.TIFF, "DECOMPRESSORS", {1: None})
        with pytest.raises(
            ImportError, match=r"x\.tif: compression ADOBE_DEFLATE needs the package imagecodecs; .*tiff"
        ):
            open_volume(tmp_path / "x.tif")


class TestNpy:
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_shapes(self, tmp_path, order):
        data = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(">f4")
        for part in (data, data[0], data[0, 0]):
            np.save(tmp_path / "x.npy", np.asarray(part, order=order))
            volume = open_volume(tmp_path / "x.npy")
            np.testing.assert_array_equal(whole(volume), part.reshape((1,) * (4 - part.ndim) + part.shape))
            assert whole(volume).dtype.isnative
            assert volume.chunks == (1, 4, 5)

    def test_faults(self, tmp_path):
        np.save(tmp_path / "text.npy", np.array(["a"]))
        with pytest.raises(ValueError, match=r"text.npy: the array holds <U1"):
            open_volume(tmp_path / "text.npy")
        (tmp_path / "x.npy").write_bytes(b"no")
        with pytest.raises(ValueError, match=r"x.npy: not a readable .npy array"):
            open_volume(tmp_path / "x.npy")


@pytest.mark.parametrize("name", ["x.npy", "x.nii", "x.tif"])
def test_fingerprint_of_a_file_follows_its_content(tmp_path, name):
    path = tmp_path / name
    write = {
        "x.npy": lambda d: np.save(path, d),
        "x.nii": lambda d: nibabel.save(nibabel.Nifti1Image(d, np.eye(4)), path),
        "x.tif": lambda d: tifffile.imwrite(path, d, photometric="minisblack"),
    }[name]
    write(np.zeros((3, 4, 5), "uint8"))
    first = open_volume(path).fingerprint()
    assert open_volume(path).fingerprint() == first
    write(np.ones((3, 4, 5), "uint8"))
    os.utime(path, ns=(1, 1))
    assert open_volume(path).fingerprint() != first


@pytest.mark.real_data
def test_hippocampus_against_nibabel(real_data):
    path = sorted((real_data / "hippocampus" / "images").glob("*.nii.gz"))[0]
    image = nibabel.load(path)
    volume = open_volume(path)
    np.testing.assert_array_equal(whole(volume)[0], np.asarray(image.dataobj).transpose(2, 1, 0))
    np.testing.assert_allclose(volume.spacing, image.header.get_zooms()[::-1])
    np.testing.assert_array_equal(volume.attributes["nifti_affine"], image.affine)
    assert volume.unit == "mm"


@pytest.mark.real_data
def test_fib_sem_against_tifffile(real_data):
    path = real_data / "em_fibsem" / "medulla250_raw.tif"
    volume = open_volume(path, spacing=[10, 10, 10])
    assert (volume.shape, volume.spacing) == ((1, 250, 250, 250), (10.0, 10.0, 10.0))
    expected = tifffile.imread(path)[100:110, 30:130, 200:250]
    np.testing.assert_array_equal(volume.read((100, 30, 200), (10, 100, 50))[0], expected)
