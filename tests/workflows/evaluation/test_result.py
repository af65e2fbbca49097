"""An evaluation as text and as files."""

import csv
import json

from scripts.workflows.evaluation.measures import column_table, parse_measures
from scripts.workflows.evaluation.result import Evaluation
from scripts.workflows.evaluation.rows import Row


def result(folder=None, overall=None):
    numbers = {"cellmap": 0.5, "cellmap_f1": 0.25, "cellmap_hausdorff": 1.0}
    return Evaluation(
        ["a"],
        [Row("a", "d", "c1", "mito", "instance", 1, 8, numbers)],
        [Row("a", "", "", "mito", "instance", 1, 8, numbers, "so")],
        overall or {},
        column_table(parse_measures(["cellmap"])),
        {"truth": "t.zarr", "region": None},
        folder,
    )


def test_printed_it_is_the_summary(tmp_path):
    assert str(result()).splitlines() == ["class  crops  cellmap   note", "mito       1    0.500   so"]
    lines = str(result(tmp_path, {"a": 0.5, "b": float("nan")})).splitlines()
    assert lines[2:] == [
        "CellMap challenge 2026-06, overall: a 0.500, b -",
        f"written: {tmp_path}/report.html, scores.csv, summary.csv, scores.json",
    ]


def test_files_hold_all_numbers(tmp_path):
    result(overall={"a": 0.5}).write(tmp_path / "new")
    with (tmp_path / "new/scores.csv").open(newline="") as file:
        (crop,) = csv.DictReader(file)
    assert (crop["crop"], crop["cellmap_f1"], crop["cellmap"]) == ("c1", "0.25", "0.5")
    with (tmp_path / "new/summary.csv").open(newline="") as file:
        (summary,) = csv.DictReader(file)
    assert (summary["crop"], summary["note"]) == ("", "so")
    content = json.loads((tmp_path / "new/scores.json").read_text())
    assert content["settings"] == {"truth": "t.zarr", "region": None}
    assert content["overall"] == {"a": 0.5}
    assert content["crops"][0]["numbers"]["cellmap_hausdorff"] == 1
    assert content["classes"][0]["class"] == "mito"
