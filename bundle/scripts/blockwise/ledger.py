"""Which parts of a run are finished, so that a killed run goes on where it stopped."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from .run_folder import RunFolder

Index = tuple[int, ...]


class Ledger:
    """One file per finished part, which says what came of it. Several processes may enter different parts.

    Runs have millions of parts, so outcomes are kept as text, a tenth of what their lists and numbers would take.

    Args:
        folder: where the files are kept.
        prefix: of their keys.
    """

    def __init__(self, folder: RunFolder, prefix: str = "done") -> None:
        self.folder = folder
        self.prefix = prefix
        self._entries: dict[Index, bytes] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_entries": {}}  # another process reads what it needs

    def load(self) -> None:
        """Read what earlier runs entered."""
        start = len(f"{self.prefix}/")
        for key, content in self.folder.read_all(f"{self.prefix}/").items():
            self._entries[tuple(int(n) for n in key[start:].split("."))] = content

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, part: Index) -> bool:
        return part in self._entries

    def items(self) -> Iterator[tuple[Index, dict[str, Any]]]:
        """Parts that this process knows to be finished, and what came of them."""
        for part, content in self._entries.items():
            yield part, json.loads(content)

    def find(self, part: Index) -> dict[str, Any] | None:
        """What came of a part, also where another process has entered it since; `None` where it is not finished."""
        if part not in self._entries:
            content = self.folder.read(self._key(part))
            if content is None:
                return None
            self._entries[part] = content
        return _outcome(self._entries[part])

    def enter(self, part: Sequence[int], outcome: Mapping[str, Any]) -> None:
        """Note that a part is finished; `outcome` is JSON."""
        content = _as_text(outcome)
        self.folder.write(self._key(part), content)
        self._entries[tuple(part)] = content

    def note(self, part: Sequence[int], outcome: Mapping[str, Any]) -> None:
        """Take over what another process has entered."""
        self._entries[tuple(part)] = _as_text(outcome)

    def _key(self, part: Sequence[int]) -> str:
        return f"{self.prefix}/{'.'.join(map(str, part))}"


@functools.lru_cache(maxsize=4096)
def _outcome(content: bytes) -> dict[str, Any]:
    """What a text says; the blocks around the one at work are asked for again and again."""
    return cast(dict[str, Any], json.loads(content))


def _as_text(outcome: Mapping[str, Any]) -> bytes:
    return json.dumps(outcome, separators=(",", ":")).encode()
