"""The page on evaluation: every metric, kind and option is on it, and its commands and examples work."""

import inspect
import json
import re
import shlex

import numpy as np
import pytest
from tests.bundle.running import BUNDLE
from tests.workflows.evaluation_stores import store

from scripts.workflows.evaluate import evaluate
from scripts.workflows.evaluation.list import read_cases
from scripts.workflows.evaluation.measures import KINDS, MEASURE_NAMES, column_table, parse_measures
from scripts.workflows.evaluation.result import CLASS_FILE, CROP_FILE, JSON_FILE, REPORT_FILE

PAGE = (BUNDLE / "docs" / "evaluation.md").read_text()
OPTIONS = list(inspect.signature(evaluate).parameters)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", [*KINDS, CLASS_FILE, CROP_FILE, JSON_FILE, REPORT_FILE])
def test_kinds_and_files_are_named(name):
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("name", MEASURE_NAMES)
def test_metrics_are_named(name):
    assert re.search(rf"^\| .*`{name}(@[TD])?`", PAGE, re.MULTILINE)


@pytest.mark.parametrize("option", [name for name in OPTIONS if name not in ("predictions", "truth", "overwrite")])
def test_options_are_named(option):
    assert re.search(rf"`{option}[` ]|--{option} ", PAGE)


def test_commands_use_what_there_is():
    lines = [shlex.split(line) for block in blocks("bash") for line in block.splitlines()]
    assert len(lines) >= 5
    for words in lines:
        assert words[:4] == ["python", "-m", "scripts", "evaluate"]
        assert {word[2:] for word in words if word.startswith("--")} <= set(OPTIONS)
        assert column_table(parse_measures(words[words.index("--metrics") + 1].split(",")))


def test_the_list_of_cases_can_be_read(tmp_path):
    (example,) = blocks("json")
    (tmp_path / "cases.json").write_text(example)
    names, (case,) = read_cases(tmp_path / "cases.json")
    assert names == ["first", "second"]
    assert case.title == "d1/crop1/mito"
    assert set(json.loads(example)[0]) == {
        "truth", "prediction", "class", "dataset", "crop", "image", "mask", "kind", "region",
    }  # fmt: skip


def test_the_example_in_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    array = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    for name in ("a", "b", "truth"):
        store(f"{name}.zarr", array)
    (example,) = blocks("python")
    exec(compile(example, "evaluation.md", "exec"), {})
    assert capsys.readouterr().out == "first truth 0.0\nsecond truth 0.0\n"
