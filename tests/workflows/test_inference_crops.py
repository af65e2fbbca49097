"""Boxes of crops in their images, at any voxel size."""

import numpy as np
import pytest
from tests.cellmap_tree import FINE, CropPlan, DatasetPlan, raw_value, write_tree

from scripts.volumes import open_resampled
from scripts.workflows import crop_inputs

MANIFEST = """crop_name,dataset,class_label,voxel_size,translation,shape
1,jrc_fine,nuc,[4;4;4],[78;78;78],[24;24;24]
7,jrc_fine,nuc,[8;8;8],[0;0;304],[10;10;4]
7,jrc_fine,er,[8;8;8],[0;80;304],[10;10;1]
12,jrc_coarse,nuc,[8;8;8],[0;0;0],[2;2;2]
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    path = tmp_path_factory.mktemp("manifest") / "crops.csv"
    path.write_text(MANIFEST)
    return path


def boxes(found):
    return {datum["name"]: datum["region"] for datum in found}


def test_boxes_are_the_voxels_that_the_crops_cover(tree):
    """crop1: edge at 76 nm, that of the image at -4, so voxel 80 / 8; 96 nm long.

    crop10: edges at 56, 60, 60 nm, those of the image at -8, -4, -4, so voxels 64 / 16, 64 / 8, 64 / 8; 160 nm long.
    """
    assert boxes(crop_inputs(str(tree))) == {
        "jrc_coarse/crop10": [[4, 8, 8], [14, 28, 28]],
        "jrc_fine/crop1": [[10, 10, 10], [22, 22, 22]],
        "jrc_fine/crop2": [[20, 10, 8], [32, 22, 20]],
    }


def test_boxes_hold_the_crop_at_another_voxel_size(tree):
    """crop1 goes from 80 to 176 nm behind the edge of the image; at 12 nm that is voxel 6.67 to 14.67."""
    (datum,) = crop_inputs(str(tree), [1], [12.0, 12.0, 12.0])
    assert datum["region"] == [[6] * 3, [15] * 3]
    volume = open_resampled(datum["image"], (12.0, 12.0, 12.0), "linear")
    low, high = np.array(datum["region"])
    assert (volume.translation + 12.0 * (low - 0.5) <= 76).all()
    assert (volume.translation + 12.0 * (high - 0.5) >= 76 + 96).all()
    values = volume.read(low, high - low)[0]
    at = [t + 12.0 * np.arange(a, b) for t, a, b in zip(volume.translation, low, high, strict=True)]
    np.testing.assert_allclose(values, raw_value(*np.meshgrid(*at, indexing="ij")), atol=1)


def test_crops_and_datasets_are_chosen_by_name(tree):
    assert list(boxes(crop_inputs(str(tree), ["crop1*"]))) == ["jrc_coarse/crop10", "jrc_fine/crop1"]
    assert list(boxes(crop_inputs(str(tree), ["crop1*"], datasets=["jrc_f*"]))) == ["jrc_fine/crop1"]
    assert list(boxes(crop_inputs(str(tree), "crop2,10", datasets="*"))) == ["jrc_coarse/crop10", "jrc_fine/crop2"]


def test_a_box_holds_all_classes_and_ends_with_the_image(tmp_path):
    crop = CropPlan("crop3", (8, 8, 8), (160, 160, 240), (10, 10, 12), ("nuc",))
    write_tree(tmp_path, [DatasetPlan("jrc_one", (8, 8, 8), (40, 40, 40), (crop,))])
    write_tree(tmp_path / "more", [DatasetPlan("jrc_one", (8, 8, 8), (40, 40, 40), (CropPlan(
        "crop3", (8, 8, 8), (80, 160, 240), (4, 10, 4), ("ecs",)),))])  # fmt: skip
    groups = "jrc_one.zarr/recon-1/labels/groundtruth/crop3/ecs"
    (tmp_path / "more" / groups).rename(tmp_path / groups)
    (datum,) = crop_inputs(str(tmp_path / "jrc_one.zarr"))
    assert datum["region"] == [[10, 20, 30], [30, 30, 40]]  # x would go on to 42


def test_a_manifest_names_crops_without_labels(tree, manifest):
    assert boxes(crop_inputs(str(tree), manifest=manifest)) == {
        "jrc_fine/crop1": [[10] * 3, [22] * 3],
        "jrc_fine/crop7": [[0, 0, 38], [10, 20, 40]],
        "jrc_coarse/crop12": [[0] * 3, [2, 2, 2]],  # z: from -4 to 12 nm, voxels end at 8 and 24
    }
    assert list(boxes(crop_inputs(str(tree), ["7"], manifest=manifest))) == ["jrc_fine/crop7"]
    assert list(boxes(crop_inputs(str(tree), manifest=manifest, datasets=["*coarse"]))) == ["jrc_coarse/crop12"]


def test_faults_are_named(tree, manifest, tmp_path):
    with pytest.raises(FileNotFoundError, match="lists no crops of datasets \\* and names crop99"):
        crop_inputs(str(tree), [99], manifest=manifest)
    write_tree(tmp_path, [FINE])
    with pytest.raises(FileNotFoundError, match=r"lists crops of jrc_coarse, which is not there"):
        crop_inputs(str(tmp_path), manifest=manifest)
    outside = tmp_path / "outside.csv"
    outside.write_text(MANIFEST.splitlines()[0] + "\n9,jrc_fine,nuc,[8;8;8],[400;0;0],[4;4;4]\n")
    with pytest.raises(ValueError, match=r"jrc_fine/crop9 lies outside of its image .* \[40, 40, 40\] voxels"):
        crop_inputs(str(tree), manifest=outside)
