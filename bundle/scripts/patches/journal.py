"""What a search has found so far, so that a killed one goes on where it stopped."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..blockwise import as_json, header_differences

logger = logging.getLogger(__name__)


class SearchJournal:
    """Lines of JSON beside the patch cache: what the search is, then what each finished piece of it gave.

    A line counts only when it is whole. The file of a search with other settings is discarded.

    Args:
        path: the file; `None` keeps nothing.
        header: all on which the search depends.
    """

    def __init__(self, path: Path | None, header: Mapping[str, Any]) -> None:
        self.path = path
        self._finished: dict[tuple[Any, ...], Any] = {}
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        *lines, _ = path.read_text().split("\n") if path.exists() else [""]
        if self._is_ours(lines, as_json(header)):
            for line in lines[1:]:
                piece, found = json.loads(line)
                self._finished[tuple(piece)] = found
            logger.info("%s: going on with a search of which %d pieces are done", path, len(self._finished))
            path.write_text("".join(f"{line}\n" for line in lines))  # without the end of a torn line
        else:
            path.write_text(json.dumps(header) + "\n")

    def __contains__(self, piece: tuple[Any, ...]) -> bool:
        return piece in self._finished

    def __getitem__(self, piece: tuple[Any, ...]) -> Any:
        return self._finished[piece]

    def note(self, piece: tuple[Any, ...], found: Any) -> None:
        """Note what a piece gave; called by one thread."""
        if self.path is None:
            return
        with self.path.open("a") as file:
            file.write(json.dumps([piece, found]) + "\n")

    def finish(self) -> None:
        """The search is done and kept elsewhere."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _is_ours(self, lines: list[str], header: Any) -> bool:
        if not lines:
            return False
        try:
            differences = header_differences(json.loads(lines[0]), header)
            for line in lines[1:]:
                json.loads(line)
        except ValueError:
            differences = ["the file is damaged"]
        if differences:
            logger.warning("%s is of another search and is discarded; changed: %s", self.path, "; ".join(differences))
        return not differences
