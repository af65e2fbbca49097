"""Tables of landmarks, whose headers say what the numbers are."""

import numpy as np
import pytest

from scripts.volumes import Landmarks, read_landmarks, write_landmarks


def table(folder, text):
    (folder / "x.csv").write_text(text)
    return folder / "x.csv"


@pytest.mark.parametrize(
    ("text", "names", "points", "frame", "unit"),
    [
        ("name,z,y,x\nnose,1,2.5,3\near,,,\n", ("nose", "ear"), [[1, 2.5, 3], None], "voxels", None),
        ("x, y, z\n3,2.5,1\n4,nan,1\n", ("1", "2"), [[1, 2.5, 3], None], "voxels", None),
        ("name,x_mm,y_mm,z_mm\na,3,2,1\n", ("a",), [[1, 2, 3]], "physical", "mm"),
        ("z_micron,y_micron,x_micron\n3,2,1\n", ("1",), [[3, 2, 1]], "physical", "um"),
        ("name,y,x\na,3,2\n", ("a",), [[3, 2]], "voxels", None),
        ("# i,j,k voxel (0-based); row = landmark\n8.5,2,1\n", ("1",), [[1, 2, 8.5]], "voxels", None),
        ("i,j\n8.5,2\n\n", ("1",), [[2, 8.5]], "voxels", None),
    ],
)
def test_the_header_decides(tmp_path, text, names, points, frame, unit):
    found = read_landmarks(table(tmp_path, text))
    expected = np.array([[np.nan] * len(points[0]) if point is None else point for point in points])
    assert np.array_equal(found.points, expected, equal_nan=True)
    assert (found.names, found.frame, found.unit, found.extra) == (names, frame, unit, {})


@pytest.mark.parametrize(("frame", "unit"), [("voxels", None), ("physical", "um")])
@pytest.mark.parametrize("dims", [2, 3])
def test_what_is_written_reads_back(tmp_path, frame, unit, dims):
    points = np.array([[1 / 3, 2.5, -1e-9], [np.nan] * 3])[:, :dims]
    landmarks = Landmarks(("nose, tip", "ear"), points, frame, unit, {"confidence": ["0.5", "0.75"]})
    write_landmarks(tmp_path / "deep" / "x.csv", landmarks)
    found = read_landmarks(tmp_path / "deep" / "x.csv")
    assert np.array_equal(found.points, points, equal_nan=True)
    assert (found.names, found.frame, found.unit) == (landmarks.names, frame, unit)
    assert found.extra == landmarks.extra


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no landmark; expected a header such as name,z,y,x"),
        ("name,z,y,x\n", "holds no landmark"),
        ("name,z,y\na,1,2\n", "line 1: expected columns z,y,x .*; got name,z,y"),
        ("z,y,x_mm\n1,2,3\n", "line 1: expected columns z,y,x .*; got z,y,x_mm"),
        ("z,y,x\n1,2,3\n1,two,3\n", "line 3: column y must be a number, or empty; got 'two'"),
    ],
)
def test_a_faulty_table_is_named_with_what_it_holds(tmp_path, text, message):
    with pytest.raises(ValueError, match=rf"x\.csv(: |, ){message}"):
        read_landmarks(table(tmp_path, text))
