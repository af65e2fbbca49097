"""Where the blocks of a run are predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .block_job import BlockJob
from .block_layout import Block
from .progress import RunProgress


class Executor(Protocol):
    """Predicts blocks; whoever does, the bytes are the same.

    Attributes:
        threads: with which each process computes.
    """

    @property
    def threads(self) -> int: ...

    def run(self, job: BlockJob, blocks: Sequence[Block], progress: RunProgress) -> None:
        """Predict blocks, merge what they leave unmerged, report each to `progress`, and build the coarser levels."""
