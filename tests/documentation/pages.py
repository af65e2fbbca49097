"""The generated parts of the pages: tables between marks, and pictures.

Run: python -m tests.documentation.pages     (in the checkout; rewrites bundle/docs and benchmarks/README.md)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.documentation.key_tables import KEY_TABLES
from tests.documentation.performance import PERFORMANCE_TABLES
from tests.documentation.pictures import PICTURES
from tests.documentation.trust_tables import TRUST_TABLES
from tests.documentation.verb_table import VERB_TABLES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "bundle" / "docs"

TABLES: Mapping[str, Callable[[], str]] = {**KEY_TABLES, **PERFORMANCE_TABLES, **TRUST_TABLES, **VERB_TABLES}

_MARKED = re.compile(
    r"(<!-- begin (\w+): made by python -m tests\.documentation\.pages -->\n).*?(<!-- end -->)", re.DOTALL
)


def with_tables(text: str) -> str:
    """A page with its tables as they are now.

    Raises:
        KeyError: for a mark that names no table.
    """
    return _MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}", text)


def marked(text: str) -> list[str]:
    """Names of the tables of a page."""
    return [found[2] for found in _MARKED.finditer(text)]


def write() -> None:
    """Bring all pages and pictures up to date."""
    for page in [*sorted(DOCS.glob("*.md")), ROOT / "benchmarks" / "README.md"]:
        text = page.read_text()
        if (new := with_tables(text)) != text:
            page.write_text(new)
            print(f"changed: {page}")
    for name, draw in PICTURES.items():
        path = DOCS / "pictures" / f"{name}.svg"
        path.parent.mkdir(exist_ok=True)
        picture = draw()
        if not path.is_file() or path.read_text() != picture:
            path.write_text(picture)
            print(f"changed: {path}")


if __name__ == "__main__":
    write()
