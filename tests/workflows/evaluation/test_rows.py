"""Rows per crop and per class, what is said beside them, and the overall score."""

import math

import numpy as np
import pytest
from tests.workflows.evaluation_stores import store

from scripts.workflows.evaluation.cases import Case
from scripts.workflows.evaluation.job import ScoreJob, run_job
from scripts.workflows.evaluation.measures import parse_measures
from scripts.workflows.evaluation.open import ReadOptions, open_cases
from scripts.workflows.evaluation.rows import MEAN, Row, class_rows, crop_rows, overall_scores


def line(*values):
    return np.array(values, np.uint8).reshape(1, 1, -1)


@pytest.fixture
def scored(tmp_path):
    """Both tables of cases given as (crop, class, kind, truth, *predictions)."""

    def score(*given, metrics=("dice",), class_names=None):
        cases = []
        for crop, label, kind, *arrays in given:
            paths = [
                None if array is None else store(tmp_path / f"{crop}{label}{n}.zarr", array, overwrite=True)
                for n, array in enumerate(arrays)
            ]
            cases.append(Case(label, paths[0], tuple(paths[1:]), crop, kind=kind))
        measures = parse_measures(metrics)
        opened = open_cases(cases, ReadOptions(measures=measures))
        tallies = run_job(ScoreJob(opened, measures))
        names = ["a", "b"][: len(cases[0].predictions)]
        return tuple(make(opened, tallies, names, measures, class_names or {}) for make in (crop_rows, class_rows))

    return score


def test_crops_stand_alone_and_classes_pool_them(scored):
    crops, classes = scored(
        ("c1", "er", "semantic", line(1, 1, 0, 0), line(1, 0, 0, 0)),
        ("c2", "er", "semantic", line(1, 0, 0, 0), line(1, 0, 0, 0)),
    )
    assert [(row.crop, row.numbers["dice"], row.voxels) for row in crops] == [("c1", 2 / 3, 4), ("c2", 1, 4)]
    assert classes == [Row("a", "", "", "er", "semantic", 2, 8, {"dice": 2 * 2 / (3 + 2)}, "")]


def test_several_classes_have_a_mean_of_what_fits_each(scored):
    crops, classes = scored(
        ("c1", "er", "semantic", line(1, 1, 0, 0), line(1, 0, 0, 0), line(1, 1, 0, 0)),
        ("c1", "mito", "instance", line(1, 1, 0, 2), line(3, 3, 0, 0), line(1, 1, 0, 2)),
        metrics=["dice", "f1"],
    )
    assert [(row.label, row.prediction) for row in crops] == [("er", "a"), ("er", "b"), ("mito", "a"), ("mito", "b")]
    assert [(row.label, row.prediction) for row in classes[-2:]] == [(MEAN, "a"), (MEAN, "b")]
    numbers = {"dice": (2 / 3 + 4 / 5) / 2, "f1@0.5": 2 / 3, "precision@0.5": 1, "recall@0.5": 1 / 2}
    assert classes[-2].numbers == pytest.approx(numbers)
    assert classes[-1].numbers == dict.fromkeys(numbers, 1)
    assert set(classes[0].numbers) == {"dice"}


def test_a_missing_class_is_scored_as_empty_and_said(scored):
    crops, classes = scored(
        ("c1", "er", "semantic", line(1, 1), None), ("c2", "er", "semantic", line(1, 1), line(1, 1)),
    )  # fmt: skip
    assert [(row.numbers["dice"], row.note) for row in crops] == [(0, "missing, scored as empty"), (1, "")]
    assert (classes[0].numbers["dice"], classes[0].note) == (2 * 2 / (4 + 2), "missing in 1 of 2 crops")


def test_a_prediction_that_covers_a_part_says_so(tmp_path):
    truth = store(tmp_path / "t.zarr", np.ones((1, 1, 8), np.uint8))
    part = store(tmp_path / "p.zarr", np.ones((1, 1, 8), np.uint8), translation=(0, 0, 6))
    measures = parse_measures(["dice"])
    opened = open_cases([Case("er", truth, (part,))], ReadOptions(measures=measures))
    (row,) = crop_rows(opened, run_job(ScoreJob(opened, measures)), ["a"], measures, {})
    assert row.note == "covers 25.000% of the truth; the rest counts as background"
    assert row.numbers["dice"] == pytest.approx(2 * 2 / (8 + 2))


def test_each_class_of_a_label_with_several_has_a_row(scored):
    case = ("c1", "organ", "classes", line(1, 1, 2, 0), line(1, 2, 2, 0))
    crops, classes = scored(case)
    assert [(row.label, row.numbers["dice"]) for row in crops] == [
        ("organ 1", 2 / 3), ("organ 2", 2 / 3), ("organ", pytest.approx(2 / 3)),
    ]  # fmt: skip
    assert [row.label for row in classes] == ["organ 1", "organ 2", "organ"]
    named, _ = scored(case, class_names={2: "liver", 7: "spleen"})
    assert [row.label for row in named] == ["liver", "spleen", "organ"]
    assert named[1].numbers["dice"] == 1  # empty on both sides


def test_a_class_read_in_two_ways_has_two_rows(scored):
    _, classes = scored(
        ("c1", "er", "semantic", line(1), line(1)), ("c2", "er", "instance", line(1), line(1)), metrics=["dice", "f1"]
    )  # fmt: skip
    assert [(row.label, row.kind) for row in classes[:2]] == [("er", "semantic"), ("er", "instance")]


def test_unknown_truth_has_no_number(tmp_path):
    truth = store(tmp_path / "t.zarr", np.full((1, 1, 2), -1, np.int8))
    measures = parse_measures(["dice"])
    opened = open_cases([Case("er", truth, (store(tmp_path / "p.zarr", line(1, 1)),))], ReadOptions(measures=measures))
    (row,) = class_rows(opened, run_job(ScoreJob(opened, measures)), ["a"], measures, {})
    assert (row.numbers, row.voxels, row.note) == ({}, 0, "the truth is unknown everywhere")


def test_the_overall_score_is_the_root_of_both_means():
    def rows(name, **scores):
        return [Row(name, "", "", label, "", 1, 1, {"cellmap": score}) for label, score in scores.items()]

    table = [*rows("a", nuc=0.25, mito=0.75, er=0.5, ecs=0.25), *rows("b", nuc=1.0), Row("a", "", "", MEAN, "", 0, 0)]
    found = overall_scores(table, ["a", "b", "c"])
    assert found["a"] == pytest.approx(math.sqrt(0.5 * 0.375))
    assert math.isnan(found["b"])
    assert "c" not in found
