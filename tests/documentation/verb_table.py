"""The table of verbs, from what the command line says of itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from tests.documentation.key_tables import markdown_table

from scripts.command_line import VERBS, summary


def verb_table() -> str:
    """Each verb, what it does, and whether it can be tried dry."""
    rows = []
    for name in VERBS:
        is_dry = "dry_run" in inspect.signature(VERBS[name]).parameters
        rows.append((f"`{name}`", summary(name), "yes" if is_dry else ""))
    return markdown_table(["Verb", "What it does", "`--dry-run`"], rows)


VERB_TABLES: Mapping[str, Callable[[], str]] = {"verbs": verb_table}
