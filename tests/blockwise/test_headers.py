"""Comparing headers: every entry that differs is named with both values."""

import pytest

from scripts.blockwise import as_json, header_differences


def test_a_header_reads_back_as_json_has_it():
    assert as_json({"size": (1, 2), 3: None}) == {"size": [1, 2], "3": None}


def test_what_json_cannot_hold_is_an_error():
    with pytest.raises(TypeError, match="set is not JSON serializable"):
        as_json({"size": {1, 2}})


@pytest.mark.parametrize(
    ("stored", "wanted", "differences"),
    [
        ({}, {}, []),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}, []),
        ({"size": [64, 64]}, {"size": [96, 64]}, ["size[0]: 64 -> 96"]),
        ({"size": [64, 64]}, {"size": [64]}, ["size: [64, 64] -> [64]"]),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, ["a.b.c: 1 -> 2"]),
        ({"volumes": [{"path": "x"}]}, {"volumes": [{"path": "y"}]}, ['volumes[0].path: "x" -> "y"']),
        ({"old": 1}, {"new": 2}, ["new: null -> 2", "old: 1 -> null"]),
        ({"a": 1}, {"a": [1]}, ["a: 1 -> [1]"]),
        ({"a": 1, "b": 2, "c": 3}, {"a": 0, "b": 2, "c": 0}, ["a: 1 -> 0", "c: 3 -> 0"]),
        ({"a": None}, {"a": False}, ["a: null -> false"]),
        (3, 4, [": 3 -> 4"]),
    ],
)
def test_every_difference_is_named(stored, wanted, differences):
    assert header_differences(stored, wanted) == differences


def test_long_values_are_cut():
    (said,) = header_differences({"a": "x" * 500}, {"a": 1})
    assert said == f'a: "{"x" * 79}... -> 1'
