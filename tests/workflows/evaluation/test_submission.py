"""Labels of a submission as volumes."""

import pickle

import numpy as np
import pytest
from tests.workflows.submission_files import GRID, label, write_zip

from scripts.volumes import open_volume
from scripts.workflows.evaluation.submission import submission_volumes, with_stated_grid

VALUES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def test_labels_of_a_zip_file_are_volumes_with_their_grid(tmp_path):
    path = write_zip(tmp_path / "s.zip", label("crop1/nuc"), label("crop2/er", 255 - VALUES))
    volumes = submission_volumes(path)
    assert sorted(volumes) == [("crop1", "nuc"), ("crop2", "er")]
    nuc = volumes["crop1", "nuc"]
    assert (nuc.spacing, nuc.translation, nuc.unit, nuc.states_geometry) == ((4, 4, 4), (10, 20, 30), "nm", True)
    assert nuc.path == f"{path}/crop1/nuc"
    np.testing.assert_array_equal(nuc.read((0, 1, 1), (2, 2, 3))[0], VALUES[:, 1:, 1:])
    np.testing.assert_array_equal(volumes["crop2", "er"].read((0, 0, 0), (2, 3, 4))[0], 255 - VALUES)
    assert nuc.fingerprint() != volumes["crop2", "er"].fingerprint()


def test_a_volume_goes_to_another_process(tmp_path):
    path = write_zip(tmp_path / "s.zip", label("crop1/nuc"))
    twin = pickle.loads(pickle.dumps(submission_volumes(path)["crop1", "nuc"]))
    np.testing.assert_array_equal(twin.read((0, 0, 0), (2, 3, 4))[0], VALUES)
    assert twin.stored_chunks() == [((0, 0, 0), (2, 3, 4))]


def test_what_is_no_submission_is_refused(tmp_path):
    with pytest.raises(ValueError, match="leads out of the archive"):
        submission_volumes(write_zip(tmp_path / "s.zip", {"../x": b""}))


def test_an_unpacked_label_has_the_grid_of_its_attributes(tmp_path):
    for name, content in label("crop1/nuc").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    plain = open_volume(tmp_path / "crop1/nuc")
    assert not plain.states_geometry
    volume = with_stated_grid(plain)
    assert volume.states_geometry
    assert (list(volume.spacing), list(volume.translation)) == (GRID["voxel_size"], GRID["translation"])
    np.testing.assert_array_equal(volume.read((0, 0, 0), (2, 3, 4))[0], VALUES)


def test_other_volumes_stay_as_they_are(tmp_path):
    np.save(tmp_path / "a.npy", VALUES)
    volume = open_volume(tmp_path / "a.npy")
    assert with_stated_grid(volume) is volume
