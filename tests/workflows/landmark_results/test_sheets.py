"""Tables on disk."""

import builtins
import csv
import logging

import numpy as np
import pytest

from scripts.workflows.landmark_results.sheets import write_csv, write_xlsx

ROWS = [
    {"id": "=1+1", "error": 0.1 + 0.2, "n": 2},
    {"id": "b, c", "error": float("nan"), "extra": {"k": [1, None]}, "far": np.float32("inf"), "is": True},
]


def test_csv_holds_all_columns_and_exact_numbers(tmp_path):
    write_csv(tmp_path / "t.csv", ROWS)
    with (tmp_path / "t.csv").open(newline="") as file:
        head, first, second = csv.reader(file)
    assert head == ["id", "error", "n", "extra", "far", "is"]
    assert first == ["=1+1", "0.30000000000000004", "2", "", "", ""]
    assert second == ["b, c", "", "", '{"k": [1, null]}', "inf", "true"]
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_xlsx_holds_the_same_in_sheets(tmp_path):
    pytest.importorskip("xlsxwriter")
    from zipfile import ZipFile

    assert write_xlsx(tmp_path / "t.xlsx", {"one": ROWS, "two": ROWS[:1]})
    with ZipFile(tmp_path / "t.xlsx") as book:
        sheet, other = (book.read(f"xl/worksheets/sheet{n}.xml").decode() for n in (1, 2))
        texts = book.read("xl/sharedStrings.xml").decode()
        names = book.read("xl/workbook.xml").decode()
    assert 'name="one"' in names
    assert 'name="two"' in names
    assert "<f>" not in sheet  # no formula
    assert "<t>=1+1</t>" in texts
    assert '<c r="B2"><v>0.3' in sheet
    assert 'r="B3"' not in sheet  # not known
    assert 'topLeftCell="B2"' in sheet
    assert 'state="frozen"' in sheet
    assert 'r="D1"' not in other


def test_without_the_package_the_log_says_how_to_get_it(tmp_path, monkeypatch, caplog):
    found = builtins.__import__

    def without(name, *args, **options):
        if name == "xlsxwriter":
            raise ImportError(name)
        return found(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with caplog.at_level(logging.INFO):
        assert not write_xlsx(tmp_path / "t.xlsx", {"one": ROWS})
    assert "t.xlsx is not written, only the CSV files" in caplog.text
    assert "pip install 'polytome[tables]'" in caplog.text
    assert not list(tmp_path.iterdir())
