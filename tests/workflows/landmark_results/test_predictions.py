"""What is known of images, through JSON and back."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.workflows.landmark_results.cases import NAN, TRUTH, case

from scripts.workflows.landmark_results.predictions import read_cases, write_cases


def test_images_come_back_as_they_were(tmp_path):
    points = np.array([[0.1, 2.0, 3.0], [NAN, NAN, NAN], [1.0, 1.0, 1.0]])
    one = case(
        found={"smha": (points, np.array([3.0, NAN, np.inf])), "ecpv": (TRUTH, np.zeros(3))},
        members={"m": TRUTH},
        columns={"sigma": np.array([1.0, NAN, 2.0])},
        extra={"age": torch.tensor(3), "folder": Path("x/y"), "tags": ("a", None)},
        translation=(1.0, 2.0, 3.0),
        input_shape=(2, 3, 4),
    )
    two = case("two", {"smha": (TRUTH, np.zeros(3)), "ecpv": (TRUTH, np.zeros(3))}, None, unit=None)
    write_cases(tmp_path / "p.json", [one, two], {"radii": [2.0]})
    (first, second), settings = read_cases(tmp_path / "p.json")
    assert settings == {"radii": [2.0]}
    for name in ("name", "path", "shape", "grid_shape", "input_shape", "spacing", "unit", "landmarks", "translation"):
        assert getattr(first, name) == getattr(one, name), name
    assert np.array_equal(first.truth, TRUTH, equal_nan=True)
    assert list(first.found) == ["smha", "ecpv"]
    assert np.array_equal(first.found["smha"][0], points, equal_nan=True)
    assert np.array_equal(first.found["smha"][1], [3, NAN, np.inf], equal_nan=True)
    assert np.array_equal(first.members["m"], TRUTH, equal_nan=True)
    assert np.array_equal(first.columns["sigma"], [1, NAN, 2], equal_nan=True)
    assert first.extra == {"age": 3, "folder": "x/y", "tags": ["a", None]}
    assert second.truth is None
    assert second.unit is None


def test_missing_points_are_null(tmp_path):
    write_cases(tmp_path / "p.json", [case()], {})
    image = json.loads((tmp_path / "p.json").read_text())["images"]["one"]
    assert image["truth"] == [[0, 0, 0], [1, 2, 3], None]
    assert image["found"]["ecpv"] == {"points": [[0, 3, 4], [1, 2, 3], [1, 1, 1]], "uncertainty": [0.5, 0.25, 0.125]}


def test_other_files_are_refused(tmp_path):
    (tmp_path / "p.json").write_text('{"landmarks": ["a"]}')
    with pytest.raises(
        ValueError, match=r"p\.json: expected the predictions\.json of landmark results; KeyError 'images'"
    ):
        read_cases(tmp_path / "p.json")
