"""Tables as CSV, and as sheets of one XLSX file."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .predictions import plain
from .summary import Row

logger = logging.getLogger(__name__)


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows, whose columns are those of any of them; a cell is empty where a number is not known."""
    columns = column_names(rows)
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(
            [["" if (value := _cell(row.get(name))) is None else value for name in columns] for row in rows]
        )
    partial.replace(path)


def write_xlsx(path: Path, sheets: Mapping[str, Sequence[Row]]) -> bool:
    """Write tables as sheets whose heads stay in sight.

    Returns:
        whether it was written: without the package XlsxWriter it is not, which the log says.
    """
    try:
        from xlsxwriter import Workbook
    except ImportError:
        logger.info(
            "%s is not written, only the CSV files: install XlsxWriter by: pip install 'polytome[tables]'", path
        )
        return False
    with Workbook(path) as book:
        bold = book.add_format({"bold": True})
        for title, rows in sheets.items():
            sheet = book.add_worksheet(title)
            columns = column_names(rows)
            for place, name in enumerate(columns):
                sheet.write_string(0, place, name, bold)
            for line, row in enumerate(rows, 1):
                for place, name in enumerate(columns):
                    value = _cell(row.get(name))
                    if isinstance(value, str):  # as it is: an id that begins with = is no formula
                        sheet.write_string(line, place, value)
                    elif value is not None:
                        sheet.write_number(line, place, value)
            sheet.freeze_panes(1, 1)
            sheet.autofit()
    return True


def column_names(rows: Sequence[Row]) -> list[str]:
    """Columns of any of the rows, in the order in which they first come."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _cell(value: Any) -> str | float | None:
    """A number, text, or `None` where there is nothing to say."""
    value = plain(value)
    return json.dumps(value) if isinstance(value, (bool, list, dict)) else value
