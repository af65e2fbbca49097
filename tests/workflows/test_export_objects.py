"""Objects of a store as meshes and skeletons."""

import numpy as np
import pytest
from tests.bundle.running import command

from scripts.volumes import create_ome_zarr
from scripts.workflows.export_objects import export_objects

SPACING, TRANSLATION = (2.0, 1.0, 0.5), (100.0, 200.0, 300.0)


@pytest.fixture
def segmentation(tmp_path):
    """A box that reaches over blocks, and two smaller objects, in a volume that is mostly absent."""
    labels = np.zeros((1, 140, 150, 160), np.uint16)
    labels[0, 120:134, 130:140, 20:40] = 300
    labels[0, 5, 5, 5:9] = 7
    labels[0, 50:52, 50:52, 50:52] = 65535
    path = tmp_path / "objects.zarr"
    writer = create_ome_zarr(path, labels.shape, "uint16", spacing=SPACING, translation=TRANSLATION, unit="um")
    writer.write((0, 0, 0), labels)
    return path


def vertices(path):
    """Of an OBJ file, x y z."""
    return np.array([line.split()[1:] for line in path.read_text().splitlines() if line.startswith("v ")], float)


def test_a_mesh_lies_where_the_object_does(segmentation, tmp_path):
    assert export_objects(segmentation, tmp_path / "m", 300, format="obj") == f"1 objects as obj in {tmp_path / 'm'}"
    found = vertices(tmp_path / "m" / "300.obj")
    low = [300 + 0.5 * 19.5, 200 + 129.5, 100 + 2 * 119.5]
    high = [300 + 0.5 * 39.5, 200 + 139.5, 100 + 2 * 133.5]
    np.testing.assert_allclose(found.min(0), low)
    np.testing.assert_allclose(found.max(0), high)


def test_the_largest_objects_and_all_formats(segmentation, tmp_path):
    export_objects(segmentation, tmp_path / "m", largest=2)
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["300.ply", "65535.ply"]
    export_objects(segmentation, tmp_path / "m", [7, 300], format="swc")
    rows = [line.split() for line in (tmp_path / "m" / "7.swc").read_text().splitlines() if line[0] != "#"]
    ends = np.array([[float(n) for n in row[2:5]] for row in rows])
    assert np.ptp(ends, axis=0).tolist() == [1.5, 0, 0]  # 4 voxels of 0.5 along x
    np.testing.assert_allclose(ends[:, 1:], np.broadcast_to([205, 110], (len(ends), 2)))


def test_the_command_line(segmentation, tmp_path):
    shown = command("scripts", "export-objects", segmentation, tmp_path / "m", "--ids", "7,300")
    assert f"2 objects as ply in {tmp_path / 'm'}" in shown
    assert (tmp_path / "m" / "7.ply").read_bytes().startswith(b"ply\nformat binary_little_endian")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ids": [7, 8]}, ValueError, r"has no objects \[8\]; it has 3 objects"),
        ({"ids": 7, "largest": 1}, ValueError, "give ids or largest"),
        ({}, ValueError, "give ids or largest"),
        ({"ids": 7, "format": "stl"}, ValueError, "format must be one of ply, obj, swc; got 'stl'"),
        ({"ids": 300, "max_voxels": 100}, ValueError, r"object 300 lies in a box of \[14, 10, 20\] voxels, more than"),
    ],
)
def test_what_cannot_be_is_said(segmentation, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        export_objects(segmentation, tmp_path / "m", **options)


def test_files_that_exist_stay_unless_they_may_be_replaced(segmentation, tmp_path):
    (tmp_path / "7.ply").write_text("mine")
    with pytest.raises(FileExistsError, match=r"7\.ply exists; choose another folder"):
        export_objects(segmentation, tmp_path, [300, 7])
    assert not (tmp_path / "300.ply").exists()
    export_objects(segmentation, tmp_path, 7, overwrite=True)
    assert (tmp_path / "7.ply").read_bytes() != b"mine"


def test_a_dry_run_lists_the_files_and_writes_none(segmentation, tmp_path):
    said = export_objects(segmentation, tmp_path / "m", [7, 300], dry_run=True)
    assert [line.split(": ")[0] for line in said.splitlines()] == [
        str(tmp_path / "m" / "7.ply"), str(tmp_path / "m" / "300.ply"), "dry run",
    ]  # fmt: skip
    assert not (tmp_path / "m").exists()
