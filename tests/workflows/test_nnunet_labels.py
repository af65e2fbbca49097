"""Label maps on the voxels of the images."""

import nibabel
import numpy as np
import pytest

from scripts.volumes import Encoding, create_ome_zarr
from scripts.workflows import NnunetLabels

AFFINE = np.array([[0.0, 2, 0, 5], [-1, 0, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]])


@pytest.fixture
def image(tmp_path):
    """x y z = 6 x 4 x 4 voxels of 1 x 2 x 1."""
    path = tmp_path / "case_0000.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((6, 4, 4), np.float32), AFFINE), path)
    return str(path)


def store(folder, values, spacing, encoding=None):
    attributes = None if encoding is None else encoding.as_attributes()
    path = folder / "case.zarr" / "organ"
    writer = create_ome_zarr(path, values.shape, values.dtype, spacing=spacing, attributes=attributes, unit="mm")
    writer.write((0, 0, 0), values)
    writer.finish()


def written(folder, image, **options):
    labels = NnunetLabels(
        [{"name": "case", "image": [image]}], str(folder / "{name}.zarr"), folder / "labels", "organ", **options
    )
    assert labels() == [str(folder / "labels" / "case.nii.gz")]
    assert [path.name for path in (folder / "labels").iterdir()] == ["case.nii.gz"]
    found = nibabel.load(folder / "labels" / "case.nii.gz")
    np.testing.assert_allclose(found.affine, AFFINE)
    return np.asarray(found.dataobj)


def test_a_label_map_is_taken_as_it_is(tmp_path, image):
    values = np.random.default_rng(0).integers(0, 3, (1, 4, 4, 6)).astype(np.uint8)  # C z y x
    store(tmp_path, values, (1, 2, 1))
    np.testing.assert_array_equal(written(tmp_path, image), values[0].T)


def test_regions_become_classes_in_their_order(tmp_path, image):
    values = np.zeros((2, 4, 4, 6), np.uint8)
    values[0, :, :, 1:5] = 200  # probable
    values[1, :, :, 2:4] = 140
    values[1, :, :, 4] = 120  # less than one half
    store(tmp_path, values, (1, 2, 1), Encoding(scale=1 / 255))
    found = written(tmp_path, image, region_order=[7, 3])
    np.testing.assert_array_equal(found[:, 0, 0], [0, 7, 3, 3, 7, 0])


def test_probabilities_at_another_spacing_are_interpolated_before_the_class_is_taken(tmp_path, image):
    line = np.array([0.1, 0.3, 0.8, 0.1])  # along x, voxels of 2: at 1.5 it passes one half
    values = np.stack([np.broadcast_to(1 - line, (4, 4, 4)), np.broadcast_to(line, (4, 4, 4))])
    store(tmp_path, np.round(values * 255).astype(np.uint8), (1, 2, 2), Encoding(scale=1 / 255))
    at_voxels = np.interp(np.arange(6), np.arange(4) * 2, line)  # both grids begin at 0
    np.testing.assert_array_equal(written(tmp_path, image)[:, 1, 1], at_voxels > 0.5)
