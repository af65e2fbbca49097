"""Which parts of a run are finished, so that a killed run goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .run_folder import RunFolder

Index = tuple[int, ...]


class Ledger:
    """One file per finished part, which says what came of it. Several processes may enter different parts.

    Args:
        folder: where the files are kept.
        prefix: of their keys.
    """

    def __init__(self, folder: RunFolder, prefix: str = "done") -> None:
        self.folder = folder
        self.prefix = prefix
        self._entries: dict[Index, dict[str, Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_entries": {}}  # another process reads what it needs

    def load(self) -> None:
        """Read what earlier runs entered."""
        start = len(f"{self.prefix}/")
        for key, content in self.folder.read_all(f"{self.prefix}/").items():
            self._entries[tuple(int(n) for n in key[start:].split("."))] = json.loads(content)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, part: Index) -> bool:
        return part in self._entries

    def items(self) -> Iterator[tuple[Index, dict[str, Any]]]:
        """Parts that this process knows to be finished, and what came of them."""
        yield from self._entries.items()

    def find(self, part: Index) -> dict[str, Any] | None:
        """What came of a part, also where another process has entered it since; `None` where it is not finished."""
        if part not in self._entries:
            content = self.folder.read(self._key(part))
            if content is None:
                return None
            self._entries[part] = json.loads(content)
        return self._entries[part]

    def enter(self, part: Sequence[int], outcome: Mapping[str, Any]) -> None:
        """Note that a part is finished; `outcome` is JSON."""
        content = json.dumps(outcome)
        self.folder.write(self._key(part), content.encode())
        self._entries[tuple(part)] = json.loads(content)

    def note(self, part: Sequence[int], outcome: Mapping[str, Any]) -> None:
        """Take over what another process has entered."""
        self._entries[tuple(part)] = dict(outcome)

    def _key(self, part: Sequence[int]) -> str:
        return f"{self.prefix}/{'.'.join(map(str, part))}"
