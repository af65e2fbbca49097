"""The patch index on disk: a readable header that says what it was made from, and the patches."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..blockwise import as_json, header_differences

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1


def load_patches(cache_file: str | Path, header: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Patches of a cache whose header equals `header`; `None`, with the reason in the log, otherwise."""
    path = Path(cache_file)
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text())
        patches, stored_header = stored["patches"], stored["header"]
        differences = header_differences(stored_header, as_json(header))
    except (ValueError, KeyError, TypeError, OSError) as error:
        logger.warning("patch cache %s is damaged and will be made anew: %r", path, error)
        return None
    if differences:
        logger.warning("patch cache %s is stale and will be made anew; changed: %s", path, "; ".join(differences))
        return None
    logger.info("patch cache %s: %d patches", path, len(patches))
    return patches


def save_patches(cache_file: str | Path, header: Mapping[str, Any], patches: list[dict[str, Any]]) -> None:
    """Write header and patches; the file is complete or not there."""
    path = Path(cache_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    rows = ",\n".join(json.dumps(patch) for patch in patches)  # one patch a line
    partial.write_text(f'{{"header": {json.dumps(header, indent=1)},\n"patches": [\n{rows}\n]}}\n')
    partial.replace(path)
