"""Labels on the voxels of the scan's file, against NumPy, positions in space and the volumes' own resampling."""

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from scripts.transforms import OpenVolumed, ToScanGridd
from scripts.volumes import create_ome_zarr, open_resampled, open_volume

OBLIQUE = np.array([[0.43, -0.21, 0.55, -30], [0.2, 0.66, 0.1, 12.5], [-0.16, 0.1, 0.95, 7], [0, 0, 0, 1]])
"""From voxel x, y, z to position: turned about all axes and anisotropic."""

SHAPE = (7, 5, 4)  # x y z


@pytest.fixture
def scan(tmp_path):
    """A NIfTI file whose voxels are all different."""
    voxels = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    nibabel.save(nibabel.Nifti1Image(voxels, OBLIQUE), tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


def opened(path, **options):
    return OpenVolumed("image", lazy=False, **options)({"image": str(path)})["image"]


def test_the_values_of_a_scan_come_back_in_the_order_of_its_file(scan):
    image = opened(scan)
    back = ToScanGridd("pred")({"image": image, "pred": image})["pred"]
    stored = nibabel.load(scan)
    np.testing.assert_array_equal(back[0].numpy(), np.asarray(stored.dataobj))
    np.testing.assert_array_equal(back.affine.numpy(), stored.affine)
    assert tuple(image.meta["spatial_shape"]) == SHAPE


@pytest.mark.parametrize("factor", [2.0, 0.5, 1.7], ids=["coarser", "finer", "no whole number"])
def test_a_label_of_a_resampled_scan_is_that_of_the_voxel_that_holds_each_centre(scan, tmp_path, factor):
    stored = open_volume(scan)
    spacing = [factor * size for size in stored.spacing]
    image = opened(scan, spacing=spacing)
    label = torch.from_numpy(np.random.default_rng(0).integers(0, 9, image.shape).astype(np.uint8))
    back = ToScanGridd("pred")({"image": image, "pred": label})["pred"]
    assert back.shape == (1, *SHAPE)

    grid = open_resampled(scan, spacing, "linear")  # the label as a volume, seen on the scan's grid
    written = create_ome_zarr(
        tmp_path / "label.zarr",
        label.shape,
        "uint8",
        spacing=grid.spacing,
        translation=grid.translation,
        unit=grid.unit,
    )
    written.write((0, 0, 0), label.numpy())
    expected = open_resampled(tmp_path / "label.zarr", stored.spacing, "nearest", like=stored)
    low, high = (tuple(pad[side] for pad in expected.padding((0, 0, 0), stored.spatial_shape)) for side in (0, 1))
    inside = tuple(slice(a, n - b) for a, b, n in zip(low, high, stored.spatial_shape, strict=True))
    whole = expected.read((0, 0, 0), stored.spatial_shape)[0]
    np.testing.assert_array_equal(back[0].numpy().T[inside], whole[inside])


def test_beyond_the_border_of_the_prediction_the_nearest_voxel_counts():
    meta = {
        "spatial_shape": np.array([1, 1, 6]),
        "original_affine": np.eye(4),
        "stored_affine": np.eye(4),
    }
    coarse = np.diag([2.0, 1, 1, 1])
    coarse[0, 3] = 1.5  # voxels of z with centres at 1.5 and 3.5
    image = MetaTensor(torch.zeros(1, 2, 1, 1), affine=torch.from_numpy(coarse), meta=meta)
    label = torch.tensor([3, 8], dtype=torch.uint8).reshape(1, 2, 1, 1)
    back = ToScanGridd("pred")({"image": image, "pred": label})["pred"]
    assert back.flatten().tolist() == [3, 3, 3, 8, 8, 8]


def test_an_image_from_elsewhere_is_refused():
    image = MetaTensor(torch.zeros(1, 2, 2, 2))
    with pytest.raises(ValueError, match=r"'scan' does not say what file it comes from \(no .*stored_affine.*OpenVol"):
        ToScanGridd("pred", image_key="scan")({"scan": image, "pred": image})
    with pytest.raises(ValueError, match=r"no spatial_shape, original_affine, stored_affine in its meta"):
        ToScanGridd("pred")({"image": torch.zeros(1, 2, 2, 2), "pred": image})
