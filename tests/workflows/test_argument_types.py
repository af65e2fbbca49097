"""Values of a config against annotations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import pytest
import torch
from monai.handlers import TensorBoardStatsHandler

from scripts.workflows.argument_types import argument_fault


def function(
    number: float,
    count: int,
    flag: bool,
    word: str,
    path: str | Path,
    size: Sequence[int] | int | None = None,
    table: Mapping[str, float] | None = None,
    choice: Literal["a", "b"] = "a",
    made: torch.nn.Module | None = None,
    call: Callable[..., int] | None = None,
    free=None,
) -> None:
    """An example."""


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("number", [1, 0.5, True], ["x", [1], None, {"a": 1}]),
        ("count", [1, True], [0.5, "x", None]),
        ("flag", [True], [1, "true", [True]]),
        ("word", ["x"], [1, None, ["x"]]),
        ("path", ["x"], [1, ["x"]]),
        ("size", [3, [1, 2], None, []], ["x", 0.5, [0.5], {"z": 1}]),
        ("table", [{}, {"a": 1}, None], [[1], "x", 3]),
        ("choice", ["a"], ["c", 1]),
        ("made", [None], [3, [1], {"a": 1}]),
        ("call", [None], [3, "x", []]),
        ("free", [1, "x", [], {}], []),
        ("unknown", [1], []),
    ],
)
def test_what_fits_and_what_does_not(name, good, bad):
    for value in good:
        assert argument_fault(function, name, value) == "", value
    for value in bad:
        assert argument_fault(function, name, value).endswith(f"got {value!r}"), value


@pytest.mark.parametrize("value", ["@a", "$1 + 1", "%a", {"_target_": "x"}])
def test_what_is_made_when_it_runs_is_left_out(value):
    assert argument_fault(function, "number", value) == ""
    assert argument_fault(function, "size", [value]) == ""


def test_classes_and_the_words_of_the_annotation():
    class Thing:
        def __init__(self, width: int | None = 3) -> None: ...

    assert argument_fault(Thing, "width", "x") == "'width' must be int | None; got 'x'"


def partly_known(count: int, writer: NotInstalled | None = None) -> None:  # noqa: F821
    """An annotation of this names what there is not."""


def test_an_annotation_that_cannot_be_looked_up_hides_no_other():
    assert argument_fault(partly_known, "count", "x") == "'count' must be int; got 'x'"
    assert argument_fault(partly_known, "writer", 7) == ""
    assert argument_fault(TensorBoardStatsHandler, "tag_name", 7) == "'tag_name' must be str; got 7"
    assert argument_fault(TensorBoardStatsHandler, "tag_name", "loss") == ""


class HandsOn(TensorBoardStatsHandler):
    """Takes what MONAI's takes."""

    def __init__(self, log_dir: str, **options):
        super().__init__(log_dir=log_dir, **options)


def test_options_that_a_class_hands_on_are_held_to_the_annotations_of_the_class_behind_it():
    assert argument_fault(HandsOn, "tag_name", 7) == "'tag_name' must be str; got 7"
    assert argument_fault(HandsOn, "log_dir", 7) == "'log_dir' must be str; got 7"
    assert argument_fault(HandsOn, "output_transform", {"value": "$lambda output: 1"}).startswith("'output_transform'")
    assert argument_fault(HandsOn, "tag_name", "loss") == argument_fault(HandsOn, "unknown", 7) == ""
