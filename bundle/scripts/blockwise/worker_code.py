"""What workers get before the program's code. This module is sent to them by value: it imports nothing of ours."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import signal
import sys
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin


class CodePath(WorkerPlugin):
    """Puts a folder on the path from which workers import, also of workers that join later."""

    name = "polytome-code"

    def __init__(self, path: str) -> None:
        self.path = path

    def setup(self, worker: Any) -> None:
        if self.path not in sys.path and Path(self.path).is_dir():
            sys.path.insert(0, self.path)


class LeavesInterrupts(WorkerPlugin):
    """Has workers ignore Ctrl-C, which a terminal sends to every process: the one that started them ends them."""

    name = "polytome-interrupts"

    def setup(self, worker: Any) -> None:
        with contextlib.suppress(ValueError):  # not in a main thread, to which signals come
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def code_digest(package: str) -> str | None:
    """Hash of all modules of a package; `None` where it cannot be imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations)))
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder)}".encode() + file.read_bytes())
    return digest.hexdigest()[:16]
