"""How a result file of a benchmark becomes a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.documentation.key_tables import markdown_table

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"

Column = tuple[str, str, str]
"""Title, key of a row, and format of the number."""


def result(name: str) -> Any:
    """Content of a result file."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def results_table(
    file: str, path: Sequence[str], columns: Sequence[Column], keep: Callable[[Any], bool] = lambda row: True
) -> str:
    """Rows of a result file, with the machine and the command above them.

    Args:
        file: name of the file and of the program.
        path: keys that lead to the list of rows; the table above it names the machine.
        columns: what is shown.
        keep: which rows.
    """
    content = result(file)
    tables = [content]
    for key in path:
        tables.append(tables[-1][key])
    machine = next(one["machine"] for one in reversed(tables) if isinstance(one, Mapping) and "machine" in one)
    part = f" {_PARTS[file]} {path[-1] if file == 'multitask' else path[0]}" if file in _PARTS else ""
    body = [tuple(number(row.get(key), form) for _, key, form in columns) for row in tables[-1] if keep(row)]
    said = f"Machine: {machine}. Again: `python benchmarks/{file}.py{part}`."
    return f"{said}\n\n" + markdown_table([title for title, *_ in columns], body)


def named_table(file: str, path: Sequence[str], first: str, columns: Sequence[Column]) -> str:
    """Like `results_table`, for a table of rows by name."""
    content = result(file)
    rows = content
    for key in path:
        rows = rows[key]
    body = [(name, *(number(row.get(key), form) for _, key, form in columns)) for name, row in rows.items()]
    said = f"Machine: {content['machine']}. Again: `python benchmarks/{file}.py`."
    return f"{said}\n\n" + markdown_table([first, *(title for title, *_ in columns)], body)


_PARTS = {
    **dict.fromkeys(
        ("patch_loading", "training_step", "streaming_inference", "segmentation", "reference_systems"), "--part"
    ),
    **dict.fromkeys(("objects", "multitask"), "--data"),
}
"""Programs that measure one part alone, and the option for it."""


def number(value: Any, form: str) -> str:
    """A value as it is shown; empty where there is none."""
    if value is None:
        return ""
    return str(value) if isinstance(value, str) or not form else format(value, form)
