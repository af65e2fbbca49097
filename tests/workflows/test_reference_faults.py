"""Expressions and references of a config that cannot work."""

import pytest
from monai.bundle import ConfigParser

from scripts.workflows.reference_faults import reference_faults, warn_of_misspelt_keys


def faults(config):
    parser = ConfigParser(config)
    parser.parse(True)
    return reference_faults(parser)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"a": 1, "b": "@a", "c": "$@a + @b * 2", "d": {"e": "@c", "f": ["@d#e"]}},
        {"a": "$import math", "b": "$from math import pi", "c": "$(lambda x: x)(3)", "mail": "me@home"},
        {"a": {"b": 1}, "c": "@a::b"},
        {"one": ["@two#0"], "two": [1, "@one#0"]},  # entries of two lists, and no circle
        {"trainer": {"handlers": ["@saver"]}, "saver": {"folder": "x"}},
    ],
)
def test_what_works_has_none(config):
    assert faults(config) == []


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"a": "$1 +"}, ["a: '$1 +' is no Python expression: invalid syntax"]),
        ({"a": {"b": ["$x = 3"]}}, ["a#b#0: '$x = 3' is no Python expression: invalid syntax"]),
        ({"a": "$" + "(" * 500}, ["a: '$(((("]),
        ({"a": "@b"}, ["'b' is missing: a refer to it as @b"]),
        ({"size": [1], "a": "@sizes"}, ["'sizes' is missing (did you mean 'size'?): a refer to it as @sizes"]),
        ({"t": {"rate": 1}, "a": "@t#rte"}, ["'t#rte' is missing (did you mean 'rate'?): a refer to it as @t#rte"]),
        ({"t": {"rate": 1}, "a": "@tt#rate"}, ["'tt#rate' is missing (did you mean 't'?): a refer"]),
        (dict.fromkeys("abcde", "@gone"), ["'gone' is missing: a, b, c and 2 more refer to it as @gone"]),
        ({"a": "@a"}, ["a: refers to itself in a circle: a -> a"]),
        ({"a": "@b", "b": {"c": "$@d + 1"}, "d": ["@a"]}, ["a: refers to itself in a circle: a -> b -> d -> a"]),
        ({"a": "@b", "b": "@a", "c": "@d", "d": "@c"}, ["a: refers to", "c: refers to"]),
        (
            {"trainer": {"handlers": ["@saver"]}, "saver": {"of": "@trainer"}},
            ["saver: refers to itself in a circle: saver -> trainer -> saver"],
        ),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[0][:40],
)
def test_each_fault_is_one_line_that_names_its_keys(config, expected):
    found = faults(config)
    assert len(found) == len(expected), found
    for line, begin in zip(found, expected, strict=True):
        assert line.startswith(begin)


def test_a_long_chain_needs_no_recursion():
    chain = {f"k{n}": f"@k{n + 1}" for n in range(1200)} | {"k1200": 1}
    assert faults(chain) == []
    assert faults(chain | {"k1200": "@k0"})[0].startswith("k0: refers to itself in a circle: k0 -> k1 -> k2")


def test_keys_that_are_almost_right_are_told_and_others_are_not(caplog):
    parser = ConfigParser({"patch_sze": 1, "patch_size": 2, "a": "@patch_size", "notes": 3, "_patch_size": 4})
    warn_of_misspelt_keys(parser)
    assert caplog.messages == [
        "'patch_sze' has no effect: nothing in the config refers to it; did you mean 'patch_size'?"
    ]
