"""Landmarks between voxels and space: against nibabel, by hand, and on the mouse skulls."""

import nibabel
import numpy as np
import pytest

from scripts.volumes import (
    Landmarks,
    as_landmarks,
    convert_landmarks,
    create_ome_zarr,
    landmarks_to_voxels,
    open_resampled,
    open_volume,
    outside_volume,
    read_landmarks,
)

VOXELS = np.array([[1.0, 2.25, 3.0], [4.5, 0.0, 7.0], [np.nan] * 3])
NAMES = ("a", "b", "c")


@pytest.fixture
def oblique(tmp_path):
    """A NIfTI file whose axes are turned and mirrored, and its affine (x y z)."""
    turn = nibabel.eulerangles.euler2mat(0.3, -0.2, 0.5)
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-0.5, 0.7, 1.5])
    affine[:3, 3] = [10, -20, 30]
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 7, 6), np.uint8), affine), tmp_path / "x.nii.gz")
    return tmp_path / "x.nii.gz", affine


@pytest.fixture
def store(tmp_path):
    create_ome_zarr(
        tmp_path / "x.zarr", (1, 6, 7, 8), "uint8", spacing=(2.0, 1.0, 0.5), translation=(10.0, 0.0, -3.0), unit="um"
    )
    return open_volume(tmp_path / "x.zarr")


def test_a_patients_frame_is_nibabels(oblique):
    path, affine = oblique
    xyz = nibabel.affines.apply_affine(affine, VOXELS[:, ::-1])  # x y z, RAS
    landmarks = Landmarks(NAMES, xyz[:, ::-1], "ras", "mm")
    volume = open_volume(path)
    assert np.allclose(landmarks_to_voxels(landmarks, volume), VOXELS, atol=1e-5, equal_nan=True)
    back = convert_landmarks(Landmarks(NAMES, VOXELS), "ras", volume)
    assert (back.frame, back.unit, back.names) == ("ras", "mm", NAMES)
    assert np.allclose(back.points, landmarks.points, atol=1e-5, equal_nan=True)


def test_a_store_without_orientation_points_right_forward_and_up_and_units_are_converted(store):
    landmarks = Landmarks(NAMES, (VOXELS * [2, 1, 0.5] + [10, 0, -3]) / 1000, "ras", "mm")
    assert np.allclose(landmarks_to_voxels(landmarks, store), VOXELS, equal_nan=True)
    assert np.allclose(
        convert_landmarks(Landmarks(NAMES, VOXELS), "ras", store).points, landmarks.points, equal_nan=True
    )


def test_physical_landmarks_are_spacing_and_translation(store):
    physical = Landmarks(NAMES, VOXELS * [2, 1, 0.5] + [10, 0, -3], "physical", "um")
    assert np.allclose(landmarks_to_voxels(physical, store), VOXELS, equal_nan=True)
    in_nm = Landmarks(NAMES, physical.points * 1000, "physical", "nm")
    assert np.allclose(landmarks_to_voxels(in_nm, store), VOXELS, equal_nan=True)
    found = convert_landmarks(Landmarks(NAMES, VOXELS), "physical", store)
    assert (found.frame, found.unit) == ("physical", "um")
    assert np.allclose(found.points, physical.points, equal_nan=True)


def test_a_volume_at_another_spacing_and_in_another_order_has_them_at_the_same_place(store, oblique):
    """A voxel twice as large has its centre at half a stored voxel: i -> (i + 0.5) / 2 - 0.5."""
    read = open_resampled(store.path, [4.0, 1.0, 0.5])
    halved = VOXELS.copy()
    halved[:, 0] = (halved[:, 0] + 0.5) / 2 - 0.5
    assert np.allclose(landmarks_to_voxels(Landmarks(NAMES, VOXELS), read, store), halved, equal_nan=True)
    turned = open_resampled(store.path, [4.0, 1.0, 0.5], axes="yzx")
    found = landmarks_to_voxels(Landmarks(NAMES, VOXELS), turned, store)
    assert np.allclose(found, halved[:, [1, 0, 2]], equal_nan=True)
    path, affine = oblique
    ras = Landmarks(NAMES, nibabel.affines.apply_affine(affine, VOXELS[:, ::-1])[:, ::-1], "ras", "mm")
    coarse = landmarks_to_voxels(ras, open_resampled(path, [3.0, 0.7, 0.5]))
    assert np.allclose(coarse, halved, atol=1e-5, equal_nan=True)


def test_landmarks_of_a_finer_level_have_other_voxels_in_a_coarser_one(store):
    finer = Landmarks(NAMES, VOXELS)
    coarse = open_resampled(store.path, [2.0, 2.0, 0.5])
    expected = VOXELS.copy()
    expected[:, 1] = (expected[:, 1] + 0.5) / 2 - 0.5
    assert np.allclose(landmarks_to_voxels(finer, coarse, store), expected, equal_nan=True)


def test_landmarks_in_2d_lie_on_the_only_slice(tmp_path, store):
    flat = Landmarks(("a", "b"), np.array([[1.5, 2.0], [np.nan, np.nan]]))
    create_ome_zarr(
        tmp_path / "flat.zarr", (1, 1, 7, 8), "uint8", spacing=(2, 1, 0.5), translation=(10, 0, 0), unit="um"
    )
    found = landmarks_to_voxels(flat, open_volume(tmp_path / "flat.zarr"))
    assert np.array_equal(found, [[0, 1.5, 2.0], [np.nan] * 3], equal_nan=True)
    in_mm = Landmarks(flat.names, flat.points * [0.001, 0.0005], "physical", "mm")
    assert np.allclose(landmarks_to_voxels(in_mm, open_volume(tmp_path / "flat.zarr")), found, equal_nan=True)
    with pytest.raises(ValueError, match=r"landmarks in 2D \(y, x\) belong to .*x\.zarr of \[6, 7, 8\] voxels"):
        landmarks_to_voxels(flat, store)


def test_outside_is_beyond_the_outermost_voxel_centres(store):
    points = np.array([[0, 0, 0], [5, 6, 7], [5.01, 0, 0], [0, -0.01, 0], [np.nan] * 3])
    assert outside_volume(points, store).tolist() == [False, False, True, True, False]


def test_lists_of_json_are_landmarks_in_voxels():
    found = as_landmarks([[1, 2, 3.5], None, [1, None, 2]])
    assert found.names == ("1", "2", "3")
    assert np.array_equal(found.points, [[1, 2, 3.5], [np.nan] * 3, [np.nan] * 3], equal_nan=True)
    assert found.missing.tolist() == [False, True, True]
    assert as_landmarks([[1, 2]], ["nose"]).points.shape == (1, 2)
    assert as_landmarks([None, None]).missing.all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1, 2], [1, 2, 3]], r"expected one \[z, y, x\].* per landmark, null where one is missing; got \[\[1, 2\], "),
        ([], r"missing; got \[\]"),
        ([[1]], r"missing; got \[\[1\]\]"),
        ([1, 2, 3], r"missing; got \[1, 2, 3\]"),
        ([["a", 1, 2]], r"expected landmarks of numbers; got \[\['a', 1, 2\]\]"),
    ],
)
def test_what_are_no_landmarks_is_shown(values, message):
    with pytest.raises(ValueError, match=message):
        as_landmarks(values)


def test_frames_and_shapes_are_checked(store):
    with pytest.raises(ValueError, match=r"frame must be one of voxels, physical, ras; got 'voxel' \(did you mean"):
        Landmarks(NAMES, VOXELS, "voxel")
    with pytest.raises(ValueError, match=r"3 landmarks have points of shape \[3, 2 or 3\]; got \[2, 3\]"):
        Landmarks(NAMES, VOXELS[:2])
    with pytest.raises(ValueError, match=r"points of shape \[3, 3\]; got \[3, 2\]"):
        Landmarks(NAMES, VOXELS[:, :2], "ras")
    with pytest.raises(ValueError, match=r"have different units .*'parsec'.* cannot be converted"):
        landmarks_to_voxels(Landmarks(NAMES, VOXELS, "physical", "parsec"), store)


@pytest.mark.real_data
def test_landmarks_of_mouse_skulls_lie_on_the_surface_of_bone(real_data):
    """Against mirrored positions, of which far fewer do. Bone is 44 of 255 and more, background 0."""
    folder = real_data / "landmarks3d" / "original"
    values, near_bone, near_mirrored, outside = [], [], [], {}
    for path in sorted(folder.glob("*_.nii.gz")):
        volume = open_volume(path)
        landmarks = read_landmarks(str(path).replace(".nii.gz", ".mrk.json"))
        voxels = landmarks_to_voxels(landmarks, volume)
        if (is_outside := outside_volume(voxels, volume)).any():
            outside[path.name] = [landmarks.names[n] for n in np.flatnonzero(is_outside)]
        image = np.pad(volume.read((0, 0, 0), volume.spatial_shape)[0], 1)
        mirrored = voxels * [-1, 1, 1] + [volume.spatial_shape[0] - 1, 0, 0]
        for points, near in ((voxels, near_bone), (mirrored, near_mirrored)):
            places = np.clip(np.rint(points).astype(int), 0, np.array(volume.spatial_shape) - 1)
            around = [image[tuple(slice(n, n + 3) for n in place)] for place in places]
            near += [block.max() > 44 for block in around]
            if points is voxels:
                values += [block[1, 1, 1] for block in around]
    assert len(values) == 15 * 45
    assert np.mean(np.array(values) > 0) >= 0.95
    assert np.mean(near_bone) >= 0.95
    assert np.mean(near_mirrored) < 0.7
    assert list(outside) == ["C57L_J_.nii.gz"]
    assert len(outside["C57L_J_.nii.gz"]) == 1


@pytest.mark.real_data
def test_the_aligned_skulls_landmarks_are_on_their_own_grid(real_data):
    folder = real_data / "landmarks3d" / "aligned"
    volume = open_volume(folder / "AKR_J_.nii.gz")
    landmarks = read_landmarks(folder / "AKR_J_.csv")
    voxels = landmarks_to_voxels(landmarks, volume)
    assert voxels.shape == (45, 3)
    assert np.allclose(voxels[0], [22.374, 32.865, 8.039])  # the file's line is i, j, k
    image = volume.read((0, 0, 0), volume.spatial_shape)[0]
    assert np.mean(image[tuple(np.rint(voxels).astype(int).T)] > 0) >= 0.95
