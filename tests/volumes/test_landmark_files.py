"""Which file is read and written by what; the formats have tests of their own."""

import numpy as np
import pytest

from scripts.volumes import Landmarks, read_landmarks, write_landmarks

POINT = np.array([[1.0, 2.0, 3.0]])


def test_other_files_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"x\.txt: expected landmarks in a file that ends in \.mrk\.json, \.fcsv, \.csv"
    ):
        read_landmarks(tmp_path / "x.txt")
    with pytest.raises(FileNotFoundError, match=r"x\.csv"):
        read_landmarks(tmp_path / "x.csv")
    with pytest.raises(ValueError, match=r"x\.fcsv: landmarks are written to a file that ends in \.mrk\.json or \.csv"):
        write_landmarks(tmp_path / "x.fcsv", Landmarks(("a",), POINT, "ras", "mm"))


@pytest.mark.parametrize(
    ("name", "frame", "unit", "message"),
    [
        (
            "x.mrk.json",
            "voxels",
            None,
            "expected landmarks in the frame 'ras'; got 'voxels' in None: convert_landmarks",
        ),
        ("x.csv", "ras", "mm", "in the frame 'voxels', or 'physical' with a unit; got 'ras' in mm"),
        ("x.csv", "physical", None, "with a unit; got 'physical' in None"),
    ],
)
def test_a_frame_that_the_file_cannot_state_is_refused(tmp_path, name, frame, unit, message):
    with pytest.raises(ValueError, match=message):
        write_landmarks(tmp_path / name, Landmarks(("a",), POINT, frame, unit))
    assert not list(tmp_path.iterdir())


def test_suffixes_may_be_in_capitals(tmp_path):
    write_landmarks(tmp_path / "X.CSV", Landmarks(("a",), POINT))
    assert np.array_equal(read_landmarks(tmp_path / "X.CSV").points, POINT)
