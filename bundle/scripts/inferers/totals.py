"""What a run of inference did."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass
class Totals:
    """Counts of a run, or of a part of one.

    Args:
        windows: of the whole run.
        evaluated: windows that the network saw.
        skipped: windows that are empty, or outside the mask.
        resumed: windows of blocks that an earlier, unfinished run had finished.
        bytes_read: decoded from the input.
        bytes_written: voxels of finished output chunks.
        chunks_written: output chunks.
        spilled_bytes: partial sums that were read back from the run's folder.
        bad_chunks: input chunks that could not be read and count as empty.
    """

    windows: int = 0
    evaluated: int = 0
    skipped: int = 0
    resumed: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    chunks_written: int = 0
    spilled_bytes: int = 0
    bad_chunks: list[str] = field(default_factory=list)

    def add(self, other: Totals) -> None:
        """Add the counts of a part; a bad chunk that several parts met counts once."""
        for entry in fields(self):
            if entry.name != "bad_chunks":
                setattr(self, entry.name, getattr(self, entry.name) + getattr(other, entry.name))
        self.bad_chunks += [fault for fault in other.bad_chunks if fault not in self.bad_chunks]

    def as_dict(self) -> dict[str, Any]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}
