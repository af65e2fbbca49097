"""What the report of an evaluation says."""

import re

import numpy as np
import pytest
from tests.workflows.evaluation_stores import blocky, store

from scripts.viewers import score_report
from scripts.workflows.evaluate import evaluate
from scripts.workflows.evaluation import report


@pytest.fixture
def page_of(tmp_path, monkeypatch):
    """The page that an evaluation of arrays gives, as it goes to the writer."""
    pages = []

    def note(path, page):
        pages.append(page)
        return score_report.write_score_report(path, page)

    monkeypatch.setattr(report, "write_score_report", note)

    def run(truth, *predictions, **options):
        arrays = {"t": truth, **dict(zip("ab"[: len(predictions)], predictions, strict=True))}
        paths = [store(tmp_path / f"{name}.zarr", array, overwrite=True) for name, array in arrays.items()]
        evaluate(paths[1:], paths[0], output=tmp_path / "out", overwrite=True, **options)
        return pages[-1]

    return run


@pytest.fixture
def objects():
    """Two objects of 8 and 64 voxels; the prediction has the large one as it is and half of the small one."""
    truth = np.zeros((8, 8, 8), np.uint16)
    truth[:2, :2, :2], truth[4:, 4:, 4:] = 5, 9
    prediction = truth.copy()
    prediction[0] = 0
    return truth, prediction


def test_objects_are_counted_by_fit_and_by_size(page_of, objects):
    page = page_of(*objects, metrics="voi,f1")
    iou, sizes = page.histograms
    assert "IoU of the 2 true objects" in iou.title
    assert sorted(iou.series["a"]) == [0.5, 1]
    assert {name: sorted(values) for name, values in sizes.series.items()} == {"a": [4, 64], "truth": [8, 64]}
    assert sizes.is_logarithmic


def test_the_most_important_numbers_are_those_of_the_best_prediction(page_of, objects):
    truth, prediction = objects
    page = page_of(truth, prediction, truth, metrics="voi,rand,f1@0.75")
    assert [(score.name, score.value) for score in page.scores] == [
        ("voi", "0.000"), ("rand_error", "0.000"), ("f1@0.75", "1.000"),
    ]  # fmt: skip
    assert all(score.meaning.startswith("Best: b. ") for score in page.scores)
    even = page_of(truth, truth, truth, metrics="voi")
    assert not even.scores[0].meaning.startswith("Best")
    assert page.introduction.startswith("2 predictions against the truth: 1 class, 1 crop, 512 voxels")


def test_tables_mark_the_best_and_hold_all_columns(page_of, objects):
    truth, prediction = objects
    summary, everything = page_of(truth, prediction, truth, metrics="rand,dice").tables
    assert summary.head == ["class", "prediction", "crops", "rand_error", "dice"]
    assert summary.best == {(1, 3), (1, 4)}
    assert [row[:2] for row in summary.rows] == [["t", "a"], ["t", "b"]]
    assert everything.is_folded
    assert everything.head == [
        "crop", "class", "prediction", "voxels", "rand_error", "rand_precision", "rand_recall", "dice", "note",
    ]  # fmt: skip
    assert everything.rows[1][4:8] == ["0.000", "1.000", "1.000", "1.000"]


def test_notes_stand_below_the_table(page_of, objects):
    unknown = np.full((8, 8, 8), -1, np.int8)
    summary, _ = page_of(unknown, objects[0], metrics="dice").tables
    assert summary.notes == ["t: the truth is unknown everywhere"]


def test_crops_have_a_distribution_where_there_are_enough(page_of):
    layers = [np.full((2, 2, 2), n % 2, np.uint8) for n in range(6)]
    page = page_of(
        np.concatenate(layers), np.ones((12, 2, 2), np.uint8), kind="classes", classes=dict.fromkeys(range(1, 6), "x")
    )
    (histogram,) = page.histograms
    assert histogram.title == "dice of crops (classes)"
    assert len(histogram.series["a"]) == 6
    assert histogram.limits == (0, 1)


def test_the_page_is_written_with_pictures_and_meanings(page_of, objects, tmp_path):
    page = page_of(*objects, metrics="f1")
    text = (tmp_path / "out/report.html").read_text()
    assert len(re.findall("data:image/png;base64", text)) == 3 * len(page.worst) >= 3
    assert [name for name, _ in page.meanings] == ["f1@0.5", "precision@0.5", "recall@0.5"]
    assert ("metrics", "f1@0.5") in page.summary
    assert dict(page.summary)["truth"].endswith("t.zarr")


def test_pictures_may_be_left_out(page_of, objects):
    assert page_of(*objects, metrics="f1", pictures=0).worst == []


def test_huge_tables_are_cut_and_say_so(page_of, monkeypatch):
    monkeypatch.setattr(report, "_MOST_ROWS", 3)
    page = page_of(blocky(1, dtype=np.uint8), blocky(2, dtype=np.uint8), kind="classes")
    assert len(page.tables[1].rows) == 3
    assert page.tables[1].caption == "Each crop by itself. The first 3 of 10; scores.csv has all."
