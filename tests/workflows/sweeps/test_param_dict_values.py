"""Values of a `param_dict.json`: formulas without `eval`."""

import math

import pytest

from scripts.workflows.sweeps.param_dict_values import choice, flag, number, numbers, positive, whole, whole_numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("pi / 2", math.pi / 2), ("-pi", -math.pi), ("2 * (pi + 1)", 2 * math.pi + 2), ("1e-5", 1e-5),
        (3, 3.0), (" pi ", math.pi), ("3 - 1 / 4", 2.75), ("+2", 2.0),
    ],
)  # fmt: skip
def test_formulas_are_numbers(text, value):
    assert number(text) == value


@pytest.mark.parametrize(
    "text", ["e", "__import__('os')", "pi.real", "[1]", "2 ** 99", "1 / 0", "", "'a'", True, None, [1], "pi()", "1j"]
)
def test_everything_else_is_refused(text):
    with pytest.raises(ValueError, match="expected a number, or a formula such as 'pi / 2', got"):
        number(text)


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (whole, 1.5, "at least 1, got 1.5"),
        (whole, 0, "at least 1, got 0"),
        (whole, "1e999", "at least 1, got '1e999'"),
        (positive, -1, "above 0, got -1"),
        (positive, 0, "above 0, got 0"),
        (flag, 1, "true or false, got 1"),
        (numbers, 3, "list of numbers, got 3"),
        (numbers, [], r"list of numbers, got \[\]"),
        (whole_numbers, "2", "list of whole numbers, got '2'"),
        (lambda value: choice(value, {"adam": 1}), "adm", "one of adam; got 'adm'.*mean 'adam'"),
    ],
)
def test_readers_say_what_they_expect(read, value, message):
    with pytest.raises(ValueError, match=message):
        read(value)


def test_readers_return_what_is_meant():
    assert whole("2 * 8") == 16
    assert positive("pi") == math.pi
    assert flag(False) is False
    assert numbers([0, "pi / 2"]) == [0, math.pi / 2]
    assert whole_numbers([2, 3.0]) == [2, 3]
    assert choice("adam", {"adam": 7}) == 7
