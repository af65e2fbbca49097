"""Rows as text, CSV and JSON."""

import csv
import io
import json
import math
from pathlib import Path

from scripts.workflows.evaluation.measures import column_table, parse_measures
from scripts.workflows.evaluation.rows import Row
from scripts.workflows.evaluation.tables import as_csv, as_json, as_text, best_numbers, format_number, shown_columns

COLUMNS = column_table(parse_measures(["dice", "rand", "assd"]))
ROWS = [
    Row("a", "", "", "mito", "instance", 2, 100, {"dice": 0.5, "rand_error": 0.25, "rand_recall": 1.0, "assd": 3.0}),
    Row("b", "", "", "mito", "instance", 2, 100, {"dice": 0.75, "rand_error": 0.5, "assd": math.inf}, "missing in 1"),
    Row("a", "", "", "er", "semantic", 1, 50, {"dice": 1.0, "assd": math.nan}),
    Row("b", "", "", "er", "semantic", 1, 50, {"dice": 1.0, "assd": 12.25}),
]


def test_the_summary_shows_predictions_of_a_class_together_and_marks_the_best():
    assert as_text(ROWS, COLUMNS) == (
        "class  prediction  crops   dice   rand_error    assd   note\n"
        "mito   a               2  0.500        0.250*  3.000*\n"
        "       b               2  0.750*       0.500     inf   missing in 1\n"
        "er     a               1  1.000            -       -\n"
        "       b               1  1.000            -    12.2"
    )


def test_one_prediction_needs_neither_name_nor_mark():
    text = as_text(ROWS[:1] + ROWS[2:3], COLUMNS)
    assert text.splitlines()[0].split() == ["class", "crops", "dice", "rand_error", "assd", "note"]
    assert "*" not in text


def test_the_best_is_the_lowest_error_or_the_highest_score_of_a_class():
    assert best_numbers(ROWS, COLUMNS) == {(1, "dice"), (0, "rand_error"), (0, "assd")}
    crops = [Row(row.prediction, "", crop, "x", "semantic", 1, 1, row.numbers) for crop in "12" for row in ROWS[:2]]
    assert best_numbers(crops, COLUMNS) == {(n + m, c) for m in (0, 2) for n, c in best_numbers(ROWS[:2], COLUMNS)}


def test_columns_that_are_parts_of_others_are_in_the_files_alone():
    assert shown_columns(ROWS, COLUMNS) == ["dice", "rand_error", "assd"]
    assert shown_columns(ROWS[2:], COLUMNS) == ["dice", "assd"]


def test_csv_holds_every_number_exactly():
    rows = [Row("a,b", "d", "c1", "er", "semantic", 1, 7, {"dice": 1 / 3, "assd": math.inf}, 'said "so"'), ROWS[2]]
    first, second = csv.DictReader(io.StringIO(as_csv(rows, COLUMNS)))
    assert float(first["dice"]) == 1 / 3
    assert (first["assd"], first["rand_error"], second["assd"]) == ("inf", "", "")
    assert [first[key] for key in ("prediction", "dataset", "crop", "class", "kind", "crops", "voxels", "note")] == [
        "a,b", "d", "c1", "er", "semantic", "1", "7", 'said "so"',
    ]  # fmt: skip


def test_json_is_valid_without_numbers_that_json_lacks():
    content = {"rows": ROWS[1:3], "path": Path("a/b"), "classes": {1: "x"}, "none": None}
    loaded = json.loads(as_json(content), parse_constant=lambda name: 1 / 0)
    assert loaded["rows"][0]["numbers"] == {"dice": 0.75, "rand_error": 0.5, "assd": "inf"}
    assert loaded["rows"][1]["numbers"]["assd"] is None
    assert (loaded["rows"][0]["class"], loaded["path"], loaded["classes"]) == ("mito", "a/b", {"1": "x"})


def test_numbers_keep_what_can_be_read():
    assert [format_number(value) for value in (0.12345, -3, 12.34, 12345.6, math.inf, math.nan, None)] == [
        "0.123", "-3.000", "12.3", "12,345.6", "inf", "-", "-",
    ]  # fmt: skip
