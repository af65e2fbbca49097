"""What is written for the dashboard, and what may be read."""

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.viewers.dashboard_files import as_json, file_inside, read_json, read_steps, replace_text


def test_a_file_is_replaced_as_a_whole_in_a_folder_that_is_made(tmp_path):
    path = tmp_path / "new" / "a.json"
    replace_text(path, "first")
    with path.open() as reader:
        replace_text(path, "second")
        assert reader.read() == "first"  # who reads it keeps the file that he has opened
    assert path.read_text() == "second"
    assert [one.name for one in path.parent.iterdir()] == ["a.json"]


def test_json_has_no_number_that_a_browser_refuses():
    content = {"a": [1.5, float("nan"), (float("inf"), True)], 3: None, "path": Path("x"), "b": np.float32(2)}
    assert json.loads(as_json(content), parse_constant=pytest.fail) == {
        "a": [1.5, None, [None, True]], "3": None, "path": "x", "b": "2.0",
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """A run beside a file that is not its own, with links to that."""
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "secret.json").write_text('{"secret": 1}')
    (run / "run.json").write_text('{"state": "running"}')
    (run / "link.json").symlink_to(tmp_path / "secret.json")
    (run / "own.json").symlink_to(run / "run.json")
    (run / "out").symlink_to(tmp_path)
    return run


@pytest.mark.parametrize(
    "names", [("..", "secret.json"), ("link.json",), ("out", "secret.json"), ("out", "run", "..", "secret.json")]
)
def test_no_way_leads_out_of_the_folder(folder, names):
    assert folder.joinpath(*names).is_file()
    assert file_inside(folder, *names) is None
    assert read_json(folder, *names) is None


def test_an_absolute_path_is_none_of_the_folder(folder):
    assert file_inside(folder, str(folder.parent / "secret.json")) is None
    assert file_inside(folder, str(folder / "run.json")) == (folder / "run.json").resolve()


def test_links_within_the_folder_are_followed(folder):
    assert read_json(folder, "own.json") == {"state": "running"}


@pytest.mark.parametrize("content", ["", "{", "[1]", b"\xff\xfe"])
def test_what_is_no_object_reads_as_nothing(folder, content):
    path = folder / "run.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert read_json(folder, "run.json") is None


def test_steps_are_numbers(tmp_path):
    (tmp_path / "steps.csv").write_text("iteration,loss\n4,0.5\n8,0.25\n")
    assert read_steps(tmp_path / "steps.csv") == [(4, 0.5), (8, 0.25)]
