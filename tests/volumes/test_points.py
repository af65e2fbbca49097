"""Files of annotated points: what is written is read again, and what is wrong is named with its line."""

import csv

import pytest

from scripts.volumes import Point, read_points, write_points

HEADER = "z,y,x,label,instance\n"


@pytest.fixture
def file(tmp_path):
    def write(text):
        (tmp_path / "points.csv").write_text(text)
        return tmp_path / "points.csv"

    return write


def test_points_that_are_written_are_read_again(tmp_path):
    points = [Point(3, 2, 1, 1, 2**63 + 5), Point(0, 0, 0, 0), Point(3, 2, 2, 4, 7)]
    path = tmp_path / "new" / "points.csv"
    write_points(path, points)
    assert read_points(path) == points
    with path.open(newline="") as stored:
        assert list(csv.reader(stored)) == [
            ["z", "y", "x", "label", "instance"],
            ["3", "2", "1", "1", "9223372036854775813"],
            ["0", "0", "0", "0", "0"],
            ["3", "2", "2", "4", "7"],
        ]


def test_columns_may_stand_in_any_order_among_others(file):
    path = file("\ufeffname, x , y,z,instance,label\nsoma, 1, 2,3,9,0\n")
    assert read_points(path, (4, 3, 2)) == [Point(3, 2, 1, 0, 9)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: has no column z, y, x, label, instance; .* got nothing"),
        (
            "z,y,x,label\n1,2,3,1\n",
            r"line 1: has no column instance; expected the header z,y,x,label,instance, got z,y",
        ),
        (HEADER, "holds no point; expected at least one line after the header"),
        (HEADER + "1,1,1,1,0\n1,2.5,1,1,0\n", r"line 3: column y must be a whole number of at least 0; got '2.5'"),
        (HEADER + "1,1,one,1,0\n", r"line 2: column x must be a whole number of at least 0; got 'one'"),
        (HEADER + "1,1\n", r"line 2: column x must be a whole number of at least 0; got ''"),
        (HEADER + "1,1,1,1,0\n\n1,1,-4,1,0\n", r"line 4: column x must be a whole number of at least 0; got -4"),
        (HEADER + "1,1,1,-1,0\n", r"line 2: column label must be a whole number of at least 0; got -1"),
        (
            HEADER + "1,1,1,1,0\n1,9,1,1,0\n",
            r"line 3: the point \[1, 9, 1\] lies outside of the volume of shape \[5, 9",
        ),
        (HEADER + "1,1,1,1,0\n1,2,1,1,0\n1,1,1,0,0\n", r"line 4: the voxel \[1, 1, 1\] stands in line 2 already"),
    ],
)
def test_faults_are_named_with_their_line(file, text, message):
    with pytest.raises(ValueError, match=message):
        read_points(file(text), (5, 9, 5))


def test_a_file_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.csv"):
        read_points(tmp_path / "missing.csv")
