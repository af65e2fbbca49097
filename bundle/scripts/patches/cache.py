"""Results on disk: a readable header that says what they were made from, and one row a line."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..blockwise import as_json, header_differences

logger = logging.getLogger(__name__)

FORMAT_VERSION = 2


def load_cached(cache_file: str | Path, header: Mapping[str, Any], name: str) -> list[Any] | None:
    """Rows of a cache whose header equals `header`; `None`, with the reason in the log, otherwise.

    Args:
        cache_file: the file.
        header: all that the rows depend on.
        name: what the rows are, such as "patches".
    """
    path = Path(cache_file)
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text())
        rows: list[Any] = stored[name]
        differences = header_differences(stored["header"], as_json(header))
    except (ValueError, KeyError, TypeError, OSError) as error:
        logger.warning("%s: the cache of %s is damaged and will be made anew: %r", path, name, error)
        return None
    if differences:
        logger.warning(
            "%s: the cache of %s is stale and will be made anew; changed: %s", path, name, "; ".join(differences)
        )
        return None
    logger.info("%s: %d %s", path, len(rows), name)
    return rows


def save_cached(cache_file: str | Path, header: Mapping[str, Any], name: str, rows: Sequence[Any]) -> None:
    """Write header and rows; the file is complete or not there."""
    path = Path(cache_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    lines = ",\n".join(json.dumps(row) for row in rows)  # one row a line
    partial.write_text(f'{{"header": {json.dumps(header, indent=1)},\n"{name}": [\n{lines}\n]}}\n')
    partial.replace(path)
