"""What is read from a run's folder, whatever is in it so far."""

import base64
import json

import pytest
from tests.viewers.dashboard_run import make_old_run, make_run, write_history, write_record, write_slices

from scripts.viewers import RunFolder
from scripts.viewers.dashboard_files import as_json


def test_a_run_with_all_its_files(tmp_path):
    summary = RunFolder(make_run(tmp_path / "demo" / "training")).summary()
    assert (summary["name"], summary["state"]) == ("demo/training", "running")
    assert summary["record"]["parameters"] == 1234567
    assert summary["epochs"] == [1, 2]
    charts = {chart["title"]: chart for chart in summary["charts"]}
    assert charts["Loss terms (training)"]["series"] == {"total": [1.0, 0.5]}
    assert charts["Scores (validation)"]["series"] == {"score": [0.0625, 0.125]}
    assert summary["steps"][:2] == [(1, 2.0), (2, 1.5)]
    assert summary["previews"] == [1, 2]
    assert summary["worst"] == (tmp_path / "demo" / "training" / "worst_patches.json").stat().st_mtime
    assert summary["now"] - 60 < summary["seen"] <= summary["now"]


def test_previews_and_patches_are_what_was_written(tmp_path):
    run = RunFolder(make_run(tmp_path / "run"))
    written = [tmp_path / "run" / name for name in ("previews/epoch_0002_slices.json", "worst_patches.json")]
    assert [run.preview(2), run.worst_patches()] == [json.loads(path.read_text()) for path in written]
    assert run.preview(3) is None


def test_a_run_without_a_record_shows_what_it_has(tmp_path):
    run = RunFolder(make_old_run(tmp_path / "run"))
    summary = run.summary()
    assert (summary["state"], summary["record"], summary["steps"], summary["worst"]) == ("unknown", {}, [], None)
    assert summary["previews"] == [1, 2]
    head, content = run.preview(2)["picture"].split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(content) == (tmp_path / "run" / "previews" / "epoch_0002.png").read_bytes()
    assert run.worst_patches() is None


def test_a_run_that_has_just_begun(tmp_path):
    write_record(tmp_path, phase="start")
    summary = RunFolder(tmp_path).summary()
    assert [summary[key] for key in ("epochs", "charts", "steps", "previews", "worst")] == [[], [], [], [], None]


@pytest.mark.parametrize("content", ["", "epoch,iteration\n", "epoch,train_total\n1,0.5\n2"])
def test_a_history_that_is_being_written_is_no_error(tmp_path, content):
    write_record(tmp_path)
    (tmp_path / "history.csv").write_text(content)
    assert json.loads(as_json(RunFolder(tmp_path).summary()))["record"]["epoch"] == 2


def test_what_comes_later_is_there_at_the_next_question(tmp_path):
    run = RunFolder(make_run(tmp_path / "run"))
    run.summary()
    write_slices(tmp_path / "run", 3)
    write_history(tmp_path / "run", 3)
    assert (run.summary()["previews"], run.summary()["epochs"]) == ([1, 2, 3], [1, 2, 3])


def test_links_out_of_the_folder_show_nothing(tmp_path):
    elsewhere, run = make_run(tmp_path / "elsewhere"), tmp_path / "run"
    run.mkdir()
    write_history(run, 1)
    for name in ("previews", "run.json", "steps.csv", "worst_patches.json"):
        (run / name).symlink_to(elsewhere / name)
    found = RunFolder(run)
    assert [found.summary()[key] for key in ("previews", "record", "steps", "worst")] == [[], {}, [], None]
    assert (found.preview(1), found.worst_patches()) == (None, None)


def test_a_link_to_the_run_itself_is_followed(tmp_path):
    make_run(tmp_path / "run")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    assert RunFolder(tmp_path / "link").summary()["previews"] == [1, 2]


def test_what_is_no_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing is no folder; give the output_dir of a training"):
        RunFolder(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"has no run.json, history.csv or previews"):
        RunFolder(tmp_path)
