"""The dashboard's page: as a server gives it, and with a run's data inside."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from pathlib import Path
from typing import Any

from .dashboard_data import RunFolder
from .dashboard_files import as_json
from .report_style import STYLE

_FOLDER = Path(__file__).parent
_SCRIPTS = ("dashboard_charts.js", "dashboard_slices.js", "dashboard_page.js")

MAX_EXPORTED = 20
"""Previews of an exported page; of more epochs it has the first, the last and some between."""


def page_style() -> str:
    """The style sheet: the report's, and what is the dashboard's own."""
    return STYLE + (_FOLDER / "dashboard_page.css").read_text(encoding="utf-8")


def page_script() -> str:
    """The script, which runs in strict mode and needs no library."""
    parts = "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}\n}})();\n'


def served_page(name: str, refresh: float) -> str:
    """The page that asks its server for data.

    Args:
        name: of the run.
        refresh: seconds between two questions.
    """
    head = '<link rel="stylesheet" href="/dashboard.css">\n<script src="/dashboard.js" defer></script>'
    return _page(name, head, f'data-refresh="{refresh:g}"')


def write_dashboard(run: RunFolder, path: str | Path) -> Path:
    """Write a run's page as one self-contained file: style, script, numbers and pictures inside, no link out.

    Args:
        run: the run.
        path: the file, replaced as a whole.

    Returns:
        the path.
    """
    epochs = run.preview_epochs()
    if len(epochs) > MAX_EXPORTED:
        last = len(epochs) - 1
        epochs = [epochs[round(n * last / (MAX_EXPORTED - 1))] for n in range(MAX_EXPORTED)]
    data: dict[str, Any] = {"summary": run.summary() | {"previews": epochs}, "worst": run.worst_patches()}
    data["previews"] = {epoch: run.preview(epoch) for epoch in epochs}
    style, script = page_style(), page_script()
    policy = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}"
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{style}</style>'
    numbers = as_json(data).replace("<", "\\u003c")  # nothing ends the element, whatever a path or a text holds
    tail = f'<script type="application/json" id="data">{numbers}</script>\n<script>{script}</script>\n'
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(_page(run.name, head, "", tail), encoding="utf-8")
    return partial.replace(path)


def _page(name: str, head: str, attributes: str, tail: str = "") -> str:
    body = (_FOLDER / "dashboard_body.html").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(name)}</title>\n{head}\n</head>\n<body {attributes}>\n{body}{tail}</body>\n</html>\n"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
