"""Markups of 3D Slicer, written by hand here."""

import json

import numpy as np
import pytest

from scripts.volumes import Landmarks, read_landmarks, write_landmarks


def control(label, position, **more):
    return {"label": label, "position": position, **more}


def markups(path, controls, **options):
    path.write_text(json.dumps({"markups": [{"type": "Fiducial", "controlPoints": controls, **options}]}))
    return path


@pytest.mark.parametrize(
    ("options", "sign"),
    [
        ({"coordinateSystem": "LPS"}, -1),
        ({}, -1),
        ({"coordinateSystem": "RAS"}, 1),
        ({"coordinateSystem": "0"}, 1),
    ],
)
def test_positions_become_right_anterior_superior(tmp_path, options, sign):
    path = markups(tmp_path / "x.mrk.json", [control("nose", [1.5, 2.5, 3.5]), control("", [4, 5, 6])], **options)
    found = read_landmarks(path)
    assert found.points.tolist() == [[3.5, sign * 2.5, sign * 1.5], [6, sign * 5, sign * 4]]
    assert (found.names, found.frame, found.unit, found.extra) == (("nose", "2"), "ras", "mm", {})


def test_points_that_are_not_placed_are_missing(tmp_path):
    controls = [
        control("a", [1, 2, 3], positionStatus="defined", description="sharp"),
        control("b", [1, 2, 3], positionStatus="undefined"),
        control("c", [1, 2, 3], positionStatus="preview"),
        {"label": "d", "positionStatus": "missing"},
        {"label": "e"},
    ]
    found = read_landmarks(markups(tmp_path / "x.mrk.json", controls, coordinateUnits=["um", "UCUM", "micrometer"]))
    assert found.missing.tolist() == [False, True, True, True, True]
    assert found.unit == "um"
    assert found.extra == {"description": ["sharp", "", "", "", ""]}


def test_point_lists_are_joined_and_other_markups_left_out(tmp_path):
    lists = [
        {"type": "Line", "controlPoints": [control("l", [0, 0, 0])]},
        {"type": "Fiducial", "controlPoints": [control("a", [1, 2, 3])]},
        {"type": "Fiducial", "coordinateSystem": "RAS", "controlPoints": [control("b", [1, 2, 3])]},
    ]
    (tmp_path / "x.mrk.json").write_text(json.dumps({"markups": lists}))
    found = read_landmarks(tmp_path / "x.mrk.json")
    assert found.names == ("a", "b")
    assert found.points.tolist() == [[3, -2, -1], [3, 2, 1]]


FCSV = """# Markups fiducial file version = 4.11
# CoordinateSystem = {}
# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID
1,1.5,2.5,3.5,0,0,0,1,1,1,0,nose,"the tip, left",
2,4,5,6,0,0,0,1,1,1,0,,,
"""


@pytest.mark.parametrize(("system", "sign"), [("LPS", -1), ("RAS", 1), ("0", 1), ("1", -1)])
def test_fcsv_states_its_coordinate_system_in_words_or_numbers(tmp_path, system, sign):
    (tmp_path / "x.fcsv").write_text(FCSV.format(system))
    found = read_landmarks(tmp_path / "x.fcsv")
    assert found.points.tolist() == [[3.5, sign * 2.5, sign * 1.5], [6, sign * 5, sign * 4]]
    assert (found.names, found.frame) == (("nose", "2"), "ras")
    assert found.extra == {"description": ["the tip, left", ""]}


def test_what_is_written_is_left_posterior_superior_and_reads_back(tmp_path):
    points = np.array([[3.5, -2.5, 1.25], [np.nan] * 3, [1 / 3, 0.1, 2e-9]])
    landmarks = Landmarks(("a", "b", "c"), points, "ras", "mm", {"description": ["", "gone", ""]})
    write_landmarks(tmp_path / "deep" / "x.mrk.json", landmarks)
    (stored,) = json.loads((tmp_path / "deep" / "x.mrk.json").read_text())["markups"]
    assert stored["coordinateSystem"] == "LPS"
    assert stored["controlPoints"][0]["position"] == [-1.25, 2.5, 3.5]
    assert "position" not in stored["controlPoints"][1]
    found = read_landmarks(tmp_path / "deep" / "x.mrk.json")
    assert np.array_equal(found.points, points, equal_nan=True)
    assert (found.names, found.unit, found.extra) == (landmarks.names, "mm", landmarks.extra)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no markups file of 3D Slicer: JSONDecodeError"),
        ('{"points": []}', "no markups file of 3D Slicer: KeyError 'markups'"),
        ('{"markups": [{"controlPoints": []}]}', "holds no landmark; expected a point list"),
        (
            '{"markups": [{"coordinateSystem": "IJK", "controlPoints": [{"position": [1, 2, 3]}]}]}',
            "the coordinate system must be LPS or RAS; got 'IJK'",
        ),
        (
            '{"markups": [{"controlPoints": [{"position": [1, 2]}]}]}',
            r"expected a position \[x, y, z\]; got \[1, 2\]",
        ),
        (
            '{"markups": [{"controlPoints": []}, {"coordinateUnits": "um", "controlPoints": []}]}',
            "its lists are in different units: mm, um",
        ),
    ],
)
def test_a_faulty_file_is_named_with_what_it_holds(tmp_path, content, message):
    (tmp_path / "x.mrk.json").write_text(content)
    with pytest.raises(ValueError, match=rf"x\.mrk\.json: {message}"):
        read_landmarks(tmp_path / "x.mrk.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2,3\n", "expected lines '# CoordinateSystem = LPS' .*; found none"),
        (FCSV.format("IJK"), "the coordinate system must be LPS or RAS; got 'IJK'"),
        (FCSV.format("2"), "the coordinate system must be LPS or RAS; got '2'"),
        (FCSV.format("LPS").replace("2.5", "two"), "expected numbers x, y, z in the line '1,1.5,two,"),
    ],
)
def test_a_faulty_fcsv_is_named_with_what_it_holds(tmp_path, content, message):
    (tmp_path / "x.fcsv").write_text(content)
    with pytest.raises(ValueError, match=rf"x\.fcsv: {message}"):
        read_landmarks(tmp_path / "x.fcsv")


@pytest.mark.real_data
def test_the_template_skulls_landmarks_are_read(real_data):
    found = read_landmarks(real_data / "landmarks3d" / "original" / "template_Skull_LMs.fcsv")
    assert len(found.names) == 51
    assert found.points[0].tolist() == [10.068, 24.8342, 9.23677]  # the file says -9.23677, -24.8342, 10.068 in LPS
