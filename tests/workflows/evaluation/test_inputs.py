"""Titles of predictions, and which of the ways to name cases is meant."""

import json

import numpy as np
import pytest
from tests.workflows.evaluation_stores import store

from scripts.workflows.evaluation.inputs import named_cases


@pytest.fixture
def paths(tmp_path):
    names = ("truth", "one", "two", "more/one")
    return {name: store(tmp_path / f"{name}.zarr", np.ones((2, 2, 2), np.uint8)) for name in names}


@pytest.mark.parametrize("separator", [",", None])
def test_several_predictions_are_named_like_their_stores(paths, separator):
    given = [paths["one"], paths["two"]]
    titles, (case,) = named_cases(",".join(given) if separator else given, paths["truth"])
    assert titles == ["one", "two"]
    assert case.predictions == tuple(given)


def test_stores_of_the_same_name_are_told_apart_by_their_paths(paths):
    assert named_cases([paths["one"], paths["more/one"]], paths["truth"])[0] == [paths["one"], paths["more/one"]]


def test_names_may_be_given(paths):
    assert named_cases([paths["one"], paths["two"]], paths["truth"], "a,b")[0] == ["a", "b"]
    assert named_cases({"x": paths["one"], "y": paths["two"]}, paths["truth"])[0] == ["x", "y"]
    assert named_cases(paths["one"], paths["truth"], 5)[0] == ["5"]
    with pytest.raises(ValueError, match=r"names: expected 2 different ones, for .*one.zarr.*; got \['a', 'a'\]"):
        named_cases([paths["one"], paths["two"]], paths["truth"], ["a", "a"])


def test_a_path_given_twice_is_an_error(paths):
    with pytest.raises(ValueError, match=r"holds a path twice"):
        named_cases([paths["one"], paths["one"]], paths["truth"])


def test_a_list_of_cases_stands_alone(paths, tmp_path):
    entries = [
        {"truth": paths["truth"], "prediction": {"a": paths["one"]}, "class": label, "crop": crop}
        for label, crop in (("nuc", "crop1"), ("nuc", "crop2"), ("mito", "crop1"))
    ]
    (tmp_path / "cases.json").write_text(json.dumps(entries))
    file = str(tmp_path / "cases.json")
    assert [case.title for case in named_cases(file, None)[1]] == ["crop1/nuc", "crop2/nuc", "crop1/mito"]
    assert [case.title for case in named_cases(file, None, classes="nuc", crops=1)[1]] == ["crop1/nuc"]
    with pytest.raises(ValueError, match=r"none of its 3 cases fits classes er, crops \*"):
        named_cases(file, None, classes="er")
    with pytest.raises(ValueError, match=r"image, mask and names are given by every case in .*cases.json"):
        named_cases(file, None, image="raw.zarr")


def test_a_truth_that_is_missing_is_said(paths):
    with pytest.raises(ValueError, match=r"truth is missing; .*one.zarr"):
        named_cases(paths["one"], None)
    with pytest.raises(ValueError, match=r"predictions: got none"):
        named_cases([], paths["truth"])
