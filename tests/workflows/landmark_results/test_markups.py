"""Predictions as point lists, read back by the reader of such files."""

import logging

import nibabel
import numpy as np
import pytest
from tests.workflows.landmark_results.cases import NAN, case

from scripts.volumes import read_landmarks
from scripts.workflows.landmark_results.markups import write_markups

POINTS = np.array([[0.5, 3.0, 4.0], [NAN, NAN, NAN], [1.0, 1.0, 1.0]])


@pytest.fixture
def image(tmp_path):
    """A NIfTI file of 4 6 8 voxels (z y x), of 2, 1 and 0.5 mm, that begins at 10, 20, 30 (x y z)."""
    affine = np.diag([0.5, 1.0, 2.0, 1.0])
    affine[:3, 3] = 10, 20, 30
    file = nibabel.Nifti1Image(np.zeros((8, 6, 4), np.uint8), affine)
    file.header.set_xyzt_units("mm")
    nibabel.save(file, tmp_path / "image.nii.gz")
    return str(tmp_path / "image.nii.gz")


def test_points_are_where_the_image_is(tmp_path, image):
    found = {"ecpv": (POINTS, np.zeros(3))}
    write_markups(tmp_path / "m", {"one": "file"}, [case(found=found, path=image)])
    read = read_landmarks(tmp_path / "m" / "file.mrk.json")
    assert read.names == ("a", "b", "c")
    assert read.points[0] == pytest.approx([30 + 0.5 * 2, 20 + 3, 10 + 4 * 0.5])
    assert np.isnan(read.points[1]).all()


def test_points_in_another_grid_are_scaled(tmp_path, image):
    smaller = case(found={"ecpv": (POINTS, np.zeros(3))}, path=image, grid_shape=(4, 3, 4))
    write_markups(tmp_path / "m", {"one": "one"}, [smaller])
    point = read_landmarks(tmp_path / "m" / "one.mrk.json").points[0]
    assert point == pytest.approx([31, 20 + (3.5 * 2 - 0.5), 10 + (4.5 * 2 - 0.5) * 0.5])


def test_images_that_cannot_be_placed_are_counted_in_the_log(tmp_path, image, caplog):
    names = {"one": "one", "two": "two", "three": "three"}
    gone = case("two", path=str(tmp_path / "gone.nii.gz"))
    with caplog.at_level(logging.WARNING):
        write_markups(tmp_path / "m", names, [case(shape=(4, 6, 9), path=image), gone, case("three", unit=None)])
    assert "no markups of 2 of 3 images; the first is 'one'" in caplog.text
    assert "has [4, 6, 8] voxels; expected [4, 6, 9]" in caplog.text
    assert not (tmp_path / "m").exists()
