"""NIfTI files against nibabel, which reads them on its own."""

import logging
import re

import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scripts.volumes import (
    NORMAL_INT8,
    StackedVolume,
    create_ome_zarr,
    encode,
    open_resampled,
    open_volume,
    write_nifti,
)

SPACING, TRANSLATION = (2.0, 0.5, 0.25), (10.0, -20.0, 30.0)  # z y x
DIAGONAL = [[0.25, 0, 0, 30], [0, 0.5, 0, -20], [0, 0, 2, 10], [0, 0, 0, 1]]  # x y z


def store(path, data, **options):
    geometry = {"spacing": SPACING, "translation": TRANSLATION, "unit": "mm"}
    writer = create_ome_zarr(path, data.shape, data.dtype, **(geometry | options))
    writer.write((0, 0, 0), data)
    return writer.finish()


def whole(volume):
    return volume.read((0, 0, 0), volume.spatial_shape)


def rotated_affine():
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix() * [-0.25, 0.5, 2.0]
    affine[:3, 3] = [7, -8, 9.5]
    return affine.astype(np.float32).astype(float)


def numbers(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(0, 100, shape).astype(dtype)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("channels", [1, 3])
def test_voxels_and_geometry_come_back(tmp_path, suffix, channels):
    data = numbers((channels, 4, 5, 6), "int16")
    path = tmp_path / "out" / f"x{suffix}"
    assert write_nifti(path, store(tmp_path / "x.zarr", data)) == str(path)
    image = nibabel.load(path)
    expected = data.transpose(3, 2, 1, 0)  # C D H W -> x y z c
    np.testing.assert_array_equal(np.asarray(image.dataobj), expected[..., 0] if channels == 1 else expected)
    assert image.get_data_dtype() == np.int16
    np.testing.assert_array_equal(image.affine, DIAGONAL)
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_array_equal(image.header.get_zooms()[:3], SPACING[::-1])

    volume = open_volume(path)
    np.testing.assert_array_equal(whole(volume), data)
    assert (volume.spacing, volume.unit, volume.attributes["nifti_affine"]) == (SPACING, "mm", DIAGONAL)
    again = write_nifti(tmp_path / f"again{suffix}", volume)
    np.testing.assert_array_equal(nibabel.load(again).affine, DIAGONAL)
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name]


@pytest.mark.parametrize("how", ["like the file", "like its conversion", "own attribute"])
def test_orientation_of_the_input_is_kept(tmp_path, how):
    affine = rotated_affine()
    nibabel.save(nibabel.Nifti1Image(numbers((6, 5, 4), "uint8"), affine), tmp_path / "in.nii")
    given = open_volume(tmp_path / "in.nii")
    geometry = {"spacing": given.spacing, "translation": (0, 0, 0), "unit": given.unit}
    attributes = {"nifti_affine": given.attributes["nifti_affine"]}
    converted = store(tmp_path / "in.zarr", whole(given), **geometry, attributes=attributes)
    prediction = numbers((1, 4, 5, 6), "uint8", seed=1)
    own = attributes if how == "own attribute" else None
    result = store(tmp_path / "out.zarr", prediction, **geometry, attributes=own)
    like = {"like the file": str(tmp_path / "in.nii"), "like its conversion": open_volume(converted)}.get(how)
    image = nibabel.load(write_nifti(tmp_path / "out.nii.gz", result, like=like))
    np.testing.assert_array_equal(image.affine, affine)
    np.testing.assert_array_equal(np.asarray(image.dataobj), prediction[0].transpose(2, 1, 0))


def test_a_coarser_level_lies_where_the_finest_does(tmp_path):
    """The centre of coarse voxel (i, j, k) is that of the eight fine ones from (2 i, 2 j, 2 k) on."""
    affine = rotated_affine() @ np.diag([8.0, 4.0, 1.0, 1.0])  # spacing 2, 2, 2
    data = numbers((1, 8, 6, 4), "uint8")
    path = store(
        tmp_path / "x.zarr", data, spacing=(2, 2, 2), translation=(0, 0, 0), levels=2,
        attributes={"nifti_affine": affine.tolist()},
    )  # fmt: skip
    image = nibabel.load(write_nifti(tmp_path / "x.nii", f"{path}::1"))
    assert image.shape == (2, 3, 4)
    for index in ((0, 0, 0), (1, 2, 3)):
        centre = np.mean([affine @ [*(2 * np.array(index) + corner), 1] for corner in np.ndindex(2, 2, 2)], axis=0)
        np.testing.assert_allclose(image.affine @ [*index, 1], centre, atol=1e-5)


@pytest.mark.parametrize(
    ("unit", "word", "factor"),
    [("um", "micron", 1), ("nm", "micron", 1e-3), ("meter", "meter", 1), (None, "unknown", 1)],
)
def test_units(tmp_path, unit, word, factor):
    image = nibabel.load(
        write_nifti(tmp_path / "x.nii", store(tmp_path / "x.zarr", numbers((1, 2, 3, 4), "u1"), unit=unit))
    )
    assert image.header.get_xyzt_units()[0] == word
    np.testing.assert_allclose(image.affine[:3], np.array(DIAGONAL)[:3] * factor, rtol=1e-6)


def test_a_unit_that_nifti_does_not_know_is_reported(tmp_path, caplog):
    path = store(tmp_path / "x.zarr", numbers((1, 2, 3, 4), "u1"), unit="inch")
    with caplog.at_level(logging.WARNING):
        image = nibabel.load(write_nifti(tmp_path / "x.nii", path))
    assert "NIfTI has no word for the unit inch" in caplog.text
    assert image.header.get_xyzt_units()[0] == "unknown"


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        ("bool", "u1"),
        ("i1", "i1"),
        ("u1", "u1"),
        ("u2", "u2"),
        ("i8", "i8"),
        ("u8", "u8"),
        ("f2", "f4"),
        ("f4", "f4"),
        ("f8", "f8"),
    ],
)
def test_types(tmp_path, stored, written):
    data = (numbers((1, 3, 4, 5), "i4") % 2 if stored == "bool" else numbers((1, 3, 4, 5), "i4") / 8).astype(stored)
    image = nibabel.load(write_nifti(tmp_path / "x.nii", store(tmp_path / "x.zarr", data)))
    assert image.get_data_dtype() == np.dtype(written)
    np.testing.assert_array_equal(np.asarray(image.dataobj), data[0].transpose(2, 1, 0).astype(written))


def test_encoded_values_are_decoded(tmp_path):
    normals = np.random.default_rng(0).normal(size=(3, 4, 5, 6))
    normals /= np.linalg.norm(normals, axis=0)
    normals[:, 0] = 0
    path = store(tmp_path / "x.zarr", encode(normals, NORMAL_INT8, "int8"), attributes=NORMAL_INT8.as_attributes())
    image = nibabel.load(write_nifti(tmp_path / "x.nii.gz", path))
    assert image.get_data_dtype() == np.float32
    np.testing.assert_allclose(np.asarray(image.dataobj), normals.transpose(3, 2, 1, 0), atol=0.5 / 127 + 1e-6)
    assert not np.asarray(image.dataobj)[:, :, 0].any()


def test_an_axis_too_long_for_version_1(tmp_path):
    data = numbers((1, 1, 2, 33000), "u1")
    image = nibabel.load(write_nifti(tmp_path / "x.nii", store(tmp_path / "x.zarr", data, chunks=(1, 2, 33000))))
    assert isinstance(image, nibabel.Nifti2Image)
    np.testing.assert_array_equal(np.asarray(image.dataobj), data[0].transpose(2, 1, 0))
    np.testing.assert_array_equal(whole(open_volume(tmp_path / "x.nii")), data)


def test_a_volume_beyond_the_limit(tmp_path):
    path = store(tmp_path / "x.zarr", numbers((2, 10, 10, 10), "f2"))
    words = (
        "C D H W = (2, 10, 10, 10) as float32 are 8,000 bytes of NIfTI, more than max_bytes = 7,999; use the OME-Zarr"
    )
    with pytest.raises(ValueError, match=re.escape(words)):
        write_nifti(tmp_path / "x.nii", path, max_bytes=7999)
    assert not (tmp_path / "x.nii").exists()
    write_nifti(tmp_path / "x.nii", path, max_bytes=8000)


def test_a_file_that_is_there(tmp_path):
    path = store(tmp_path / "x.zarr", numbers((1, 2, 3, 4), "u1"))
    (tmp_path / "x.nii").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"x\.nii exists; choose another path, or pass overwrite=True"):
        write_nifti(tmp_path / "x.nii", path)
    assert (tmp_path / "x.nii").read_bytes() == b"mine"
    write_nifti(tmp_path / "x.nii", path, overwrite=True)
    assert nibabel.load(tmp_path / "x.nii").shape == (4, 3, 2)


def test_a_failure_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = store(tmp_path / "x.zarr", numbers((1, 2, 3, 4), "u1"))
    (tmp_path / "x.nii").write_bytes(b"mine")

    def fail(image, target):
        target.write_bytes(b"half")
        raise OSError("no space")

    monkeypatch.setattr(nibabel, "save", fail)
    with pytest.raises(OSError, match="no space"):
        write_nifti(tmp_path / "x.nii", path, overwrite=True)
    assert {p.name for p in tmp_path.iterdir()} == {"x.zarr", "x.nii"}
    assert (tmp_path / "x.nii").read_bytes() == b"mine"


@pytest.mark.parametrize("path", ["x.zarr", "s3://bucket/x.nii"])
def test_what_is_no_nifti_file(tmp_path, path):
    with pytest.raises(ValueError, match=rf"{path}: expected a local file whose name ends in \.nii or \.nii\.gz"):
        write_nifti(path, store(tmp_path / "x.zarr", numbers((1, 2, 3, 4), "u1")))


def test_units_that_differ(tmp_path):
    nibabel.save(nibabel.Nifti1Image(numbers((4, 3, 2), "u1"), np.eye(4)), tmp_path / "in.nii")
    path = store(tmp_path / "x.zarr", numbers((1, 2, 3, 4), "u1"), unit="um")
    with pytest.raises(ValueError, match=r"x\.zarr is in um, .*in\.nii in mm; expected one unit"):
        write_nifti(tmp_path / "x.nii", path, like=tmp_path / "in.nii")


def test_a_prediction_at_another_spacing_lies_over_the_scan(tmp_path):
    """The scan is opened at half its resolution, and a prediction of that grid is written like it."""
    affine = np.array([[0.0, 2, 0, 5], [-1, 0, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 4, 6), np.float32), affine), tmp_path / "scan.nii.gz")
    scan = open_resampled(tmp_path / "scan.nii.gz", (2.0, 4.0, 2.0), "linear")
    store = create_ome_zarr(
        tmp_path / "p.zarr", scan.shape, "uint8", spacing=scan.spacing, translation=scan.translation, unit="mm"
    )
    store.write((0, 0, 0), np.ones(scan.shape, np.uint8))
    store.finish()
    for like in (scan, StackedVolume([scan, scan])):
        write_nifti(tmp_path / "p.nii.gz", tmp_path / "p.zarr", like=like, overwrite=True)
        found = nibabel.load(tmp_path / "p.nii.gz")
        assert found.shape == (4, 2, 3)
        np.testing.assert_allclose(np.linalg.norm(found.affine[:3, :3], axis=0), [2, 4, 2])
        # the corner of the first voxel is the scan's, as far as the grids of the volumes say so
        first = np.linalg.inv(affine) @ found.affine @ [0, 0, 0, 1]
        np.testing.assert_allclose(first[:3], np.array(scan.translation)[::-1] / [1, 2, 1])
