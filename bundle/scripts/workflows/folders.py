"""Whether a run can write where it is told to, found before it computes anything."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path


def folder_faults(folders: Mapping[str, str | Path]) -> list[str]:
    """List folders that cannot be written to; none is created.

    Args:
        folders: path by the key of the config that names it.
    """
    return [f"{key}: {fault}" for key, path in folders.items() if (fault := _fault(Path(path))) is not None]


def _fault(path: Path) -> str | None:
    there = next((one for one in (path, *path.parents) if os.path.lexists(one)), Path())
    reason = None
    if not there.is_dir():
        reason = f"{there} is no folder"
    elif not os.access(there, os.W_OK | os.X_OK):  # false on a file system that is mounted for reading, too
        reason = f"{there} is read-only"
    elif there == path:
        try:
            with tempfile.TemporaryFile(dir=path) as file:
                file.write(b"1")
        except OSError as error:
            reason = str(error.strerror or error)
    return reason and f"cannot write to {path}: {reason}; give a folder that can be written to"
