"""DICOM series against the NIfTI of the same numbers."""

import logging
import sys

import nibabel
import numpy as np
import pytest
import zarr

from scripts.volumes import open_volume
from scripts.volumes.dicom import is_dicom_folder, open_dicom

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
VALUES = np.random.default_rng(0).integers(0, 4000, (5, 6, 7)).astype("uint16")  # z y x

# Where a picture's x and y point to (left, back, top) in an axial, a sagittal and a tilted scan.
AXIAL = ((1, 0, 0), (0, 1, 0))
SAGITTAL = ((0, 1, 0), (0, 0, -1))
TILTED = ((1, 0, 0), (0, 0.8, 0.6))


def write_slice(path, values, **tags):
    """One file; values y x, or y x c. Tags beyond the defaults of a plain slice; `None` leaves one out."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = pydicom.dataset.Dataset()
    dataset.file_meta = meta
    bits = values.dtype.itemsize * 8
    colours = values.shape[2] if values.ndim == 3 else 1
    defaults = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "SeriesInstanceUID": "1.2.3",
        "Rows": values.shape[0],
        "Columns": values.shape[1],
        "SamplesPerPixel": colours,
        "PhotometricInterpretation": "MONOCHROME2" if colours == 1 else "RGB",
        "PlanarConfiguration": None if colours == 1 else 0,
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(values.dtype.kind == "i"),
        "PixelSpacing": [1.5, 0.5],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0, 0, 0],
        "PixelData": values.tobytes(),
    }
    for name, value in (defaults | tags).items():
        if value is not None:
            setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)


def lps_affine(along, origin, step):
    """Voxel x y z to left, back, top for a pixel spacing of 1.5 (y) and 0.5 (x)."""
    affine = np.eye(4)
    affine[:3, 0] = np.multiply(along[0], 0.5)
    affine[:3, 1] = np.multiply(along[1], 1.5)
    affine[:3, 2] = step
    affine[:3, 3] = origin
    return affine


def write_series(folder, along=AXIAL, origin=(10, -20, 30), gap=2.0, order=(0, 1, 2, 3, 4), **tags):
    """A file per slice, named and numbered in any order; the affine that the stack has."""
    step = gap * np.cross(*along)
    folder.mkdir()
    for name, z in enumerate(order):
        position = list(np.round(np.add(origin, z * step), 6))
        orientation = [*map(float, along[0]), *map(float, along[1])]
        own = {"ImageOrientationPatient": orientation, "ImagePositionPatient": position, "InstanceNumber": name + 1}
        write_slice(folder / f"{name}.dcm", VALUES[z], **(own | tags))
    return lps_affine(along, origin, step)


def whole(opened):
    return opened.source.read(tuple(slice(0, n) for n in opened.source.shape))


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 0, 4, 1, 3)], ids=["up", "down", "mixed"])
@pytest.mark.parametrize("along", [AXIAL, SAGITTAL, TILTED], ids=["axial", "sagittal", "tilted"])
def test_a_series_is_the_nifti_of_the_same_numbers(tmp_path, along, order):
    ras = LPS_TO_RAS @ write_series(tmp_path / "series", along, order=order)
    image = nibabel.Nifti1Image(VALUES.transpose(2, 1, 0), ras)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "x.nii.gz")
    expected = open_volume(tmp_path / "x.nii.gz")
    opened = open_dicom(str(tmp_path / "series"))
    assert opened.axes == "xyz"
    assert opened.source.dtype == expected.dtype
    assert (opened.grid.unit, opened.grid.translation) == (expected.unit, expected.translation)
    np.testing.assert_allclose(opened.grid.spacing, expected.spacing, rtol=1e-5)
    np.testing.assert_allclose(opened.attributes["nifti_affine"], expected.attributes["nifti_affine"], atol=1e-5)
    np.testing.assert_array_equal(whole(opened).transpose(2, 1, 0), expected.read((0, 0, 0), (5, 6, 7))[0])


@pytest.mark.parametrize("along", [AXIAL, SAGITTAL], ids=["axial", "sagittal"])
def test_one_file_is_a_slice_with_a_thickness(tmp_path, along):
    orientation = [*map(float, along[0]), *map(float, along[1])]
    tags = {"ImageOrientationPatient": orientation, "ImagePositionPatient": [1, 2, 3], "SliceThickness": 4}
    write_slice(tmp_path / "x.dcm", VALUES[0], **tags)
    volume = open_volume(tmp_path / "x.dcm")
    assert volume.shape == (1, 1, 6, 7)
    np.testing.assert_allclose(volume.spacing, (4, 1.5, 0.5))
    np.testing.assert_array_equal(volume.read((0, 2, 3), (1, 2, 4))[0, 0], VALUES[0, 2:4, 3:7])
    expected = LPS_TO_RAS @ lps_affine(along, (1, 2, 3), np.multiply(4, np.cross(*along)))
    np.testing.assert_allclose(volume.attributes["nifti_affine"], expected, atol=1e-9)


def test_values_are_rescaled_as_the_file_says(tmp_path):
    signed = VALUES[0].astype("int16") - 1000
    write_slice(tmp_path / "x.dcm", signed, RescaleSlope=0.5, RescaleIntercept=-3)
    volume = open_volume(tmp_path / "x.dcm")
    assert volume.dtype == np.float32
    np.testing.assert_allclose(volume.read((0, 0, 0), (1, 6, 7))[0, 0], signed * 0.5 - 3)
    write_slice(tmp_path / "y.dcm", signed)
    np.testing.assert_array_equal(open_volume(tmp_path / "y.dcm").read((0, 0, 0), (1, 6, 7))[0, 0], signed)


def test_a_radiograph_without_position_has_a_spacing_or_none(tmp_path):
    nowhere = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
    write_slice(tmp_path / "x.dcm", VALUES[0], **nowhere)
    volume = open_volume(tmp_path / "x.dcm")
    assert (volume.spacing, volume.unit) == ((1.0, 1.5, 0.5), "mm")
    assert "nifti_affine" not in volume.attributes
    write_slice(tmp_path / "y.dcm", VALUES[0], **nowhere, PixelSpacing=None)
    assert not open_volume(tmp_path / "y.dcm").states_geometry
    assert open_volume(tmp_path / "y.dcm", spacing=(1, 0.1, 0.1)).spacing == (1, 0.1, 0.1)


def test_colours_are_channels(tmp_path):
    colours = np.random.default_rng(1).integers(0, 255, (6, 7, 3)).astype("uint8")
    write_slice(tmp_path / "x.dcm", colours)
    volume = open_volume(tmp_path / "x.dcm")
    np.testing.assert_array_equal(volume.read((0, 0, 0), (1, 6, 7))[:, 0], colours.transpose(2, 0, 1))


def test_slices_in_colour(tmp_path):
    colours = np.random.default_rng(1).integers(0, 255, (2, 6, 7, 3)).astype("uint8")  # z y x c
    (tmp_path / "series").mkdir()
    for z, values in enumerate(colours):
        write_slice(tmp_path / "series" / f"{z}.dcm", values, ImagePositionPatient=[0, 0, 2 * z])
    opened = open_dicom(str(tmp_path / "series"))
    assert opened.axes == "xycz"
    assert opened.grid.spacing == (2, 1.5, 0.5)
    np.testing.assert_array_equal(whole(opened).transpose(3, 1, 0, 2), colours)


def test_other_files_in_the_folder_do_not_count(tmp_path):
    write_series(tmp_path / "series")
    (tmp_path / "series" / "notes.txt").write_text("no DICOM")
    (tmp_path / "series" / "more").mkdir()
    assert is_dicom_folder(tmp_path / "series")
    assert open_dicom(str(tmp_path / "series")).source.shape == (7, 6, 5)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("x" * 200)
    assert not is_dicom_folder(tmp_path / "empty")


def test_the_fingerprint_follows_every_file(tmp_path):
    write_series(tmp_path / "series")
    before = list(open_dicom(str(tmp_path / "series")).source.signature())
    assert list(open_dicom(str(tmp_path / "series")).source.signature()) == before
    write_slice(tmp_path / "series" / "4.dcm", VALUES[0], ImagePositionPatient=[10, -20, 38], SliceThickness=1)
    assert list(open_dicom(str(tmp_path / "series")).source.signature()) != before


def test_a_missing_slice_is_said(tmp_path, caplog):
    write_series(tmp_path / "series")
    (tmp_path / "series" / "3.dcm").unlink()
    with caplog.at_level(logging.WARNING):
        opened = open_dicom(str(tmp_path / "series"))
    assert "slices lie 2 to 4 mm apart; one may be missing. They are taken to lie 2.66667 mm apart" in caplog.text
    assert opened.source.shape == (7, 6, 4)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"ImagePositionPatient": [0, 0, 2]}, "several slices at one position, as in a series of several times"),
        ({"SeriesInstanceUID": "1.2.4"}, r"expected one series .*, found 2: 1\.2\.3 \(5 files\), 1\.2\.4 \(1 files\)"),
        ({"PixelSpacing": [1.5, 0.6]}, r"different PixelSpacing: \[1\.5, 0\.5\] and \[1\.5, 0\.6\]"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, 1]}, "different ImageOrientationPatient"),
        ({"Rows": 3, "Columns": 14}, r"different Rows: \[3\.0\] and \[6\.0\]"),
        ({"ImagePositionPatient": None}, "1 of 6 slices have no ImagePositionPatient"),
        ({"NumberOfFrames": 2, "Rows": 3}, "an image of 2 frames, .* Convert it to NIfTI, for example with dcm2niix"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_what_is_no_stack_of_slices_is_named(tmp_path, tags, message):
    write_series(tmp_path / "series", origin=(0, 0, 0))
    write_slice(tmp_path / "series" / "other.dcm", VALUES[0], **({"ImagePositionPatient": [0, 0, 10]} | tags))
    with pytest.raises(ValueError, match=f"series: .*{message}"):
        open_dicom(str(tmp_path / "series"))


def test_what_is_no_dicom_is_named(tmp_path):
    pytest.importorskip("pydicom")
    (tmp_path / "x.dcm").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"x\.dcm: no readable DICOM: "):
        open_volume(tmp_path / "x.dcm")
    write_slice(tmp_path / "y.dcm", VALUES[0], PixelData=None)
    with pytest.raises(ValueError, match=r"y\.dcm: none of 1 DICOM files holds an image"):
        open_volume(tmp_path / "y.dcm")
    write_slice(tmp_path / "z.dcm", VALUES[0], PixelData=VALUES[0].tobytes()[:20])
    with pytest.raises(ValueError, match=r"z\.dcm: the DICOM image cannot be read: "):
        open_volume(tmp_path / "z.dcm")


def test_without_pydicom_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "x.dcm").write_bytes(b"\0" * 128 + b"DICM")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImportError, match=r"x\.dcm: DICOM needs the package pydicom; .*'polytome\[dicom\]'"):
        open_volume(tmp_path / "x.dcm")


def test_the_folder_of_a_series_is_a_volume(tmp_path):
    ras = LPS_TO_RAS @ write_series(tmp_path / "series")
    volume = open_volume(tmp_path / "series")
    assert (volume.shape, volume.name) == ((1, 5, 6, 7), "series")
    np.testing.assert_allclose(volume.spacing, (2, 1.5, 0.5))
    np.testing.assert_allclose(volume.attributes["nifti_affine"], ras, atol=1e-6)
    np.testing.assert_array_equal(volume.read((1, 2, 3), (2, 2, 1))[0], VALUES[1:3, 2:4, 3:4])
    with pytest.raises(ValueError, match="series: level 1 does not exist; a file has level 0 only"):
        open_volume(tmp_path / "series", level=1)


def test_a_zarr_with_a_dicom_file_in_it_stays_a_zarr(tmp_path):
    zarr.create_array(tmp_path / "x.zarr", data=VALUES)
    write_slice(tmp_path / "x.zarr" / "x.dcm", VALUES[0])
    np.testing.assert_array_equal(open_volume(tmp_path / "x.zarr").read((0, 0, 0), (5, 6, 7))[0], VALUES)
