"""A record of the chunks that a run has finished, so that a killed run goes on where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .headers import as_json, header_differences


class Journal:
    """One line of JSON for what the run is, then one line per finished chunk.

    A line counts only when it is whole, so a kill at any moment loses at most the chunk that was being noted.

    Args:
        path: the file; its folder exists.
        header: all settings on which the run's bytes depend.

    Raises:
        ValueError: if the file belongs to a run with other settings; the message names what differs.
    """

    DONE = "done"

    def __init__(self, path: str | Path, header: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.finished: set[tuple[int, ...]] = set()
        self.is_complete = False
        *whole, torn = self.path.read_text().split("\n") if self.path.exists() else [""]
        if whole:
            self._read(as_json(header), whole, torn)
        else:  # new, or killed before its first line was whole
            self.path.write_text(json.dumps(header) + "\n")

    def _read(self, header: Any, whole: Sequence[str], torn: str) -> None:
        if differences := header_differences(json.loads(whole[0]), header):
            raise ValueError(
                f"{self.path.parent} holds a run with other settings: {'; '.join(differences)}. Give the same settings "
                "to go on with it, another output, or overwrite = true to start anew"
            )
        for line in whole[1:]:
            entry = json.loads(line)
            if entry == self.DONE:
                self.is_complete = True
            else:
                self.finished.add(tuple(entry))
        if torn:  # cut off by a kill while it was written
            with self.path.open("r+b") as file:
                file.truncate(file.seek(0, os.SEEK_END) - len(torn.encode()))

    def finish_chunk(self, chunk: Sequence[int]) -> None:
        """Note that a chunk is written."""
        self.finished.add(tuple(chunk))
        self._append(list(chunk))

    def finish(self) -> None:
        """Note that the whole run is done."""
        self.is_complete = True
        self._append(self.DONE)

    def _append(self, entry: Any) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")
