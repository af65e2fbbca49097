"""Sums of chunks to which several blocks add, from the first of these blocks to the last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..blockwise import RunFolder
from .block_layout import Block, Chunk

SUMS = "sums"
"""Where in a run's folder the sums are."""

_Key = tuple[Block, Chunk]


class PartialSums:
    """What finished blocks add to chunks that are not finished yet.

    It is written to the run's folder at once, so that a finished block is never computed again, and kept in memory
    too, the most recent ones, so that it need not be read back.

    Args:
        folder: of the run.
        memory_limit: bytes to keep in memory; `None`: no limit.
    """

    def __init__(self, folder: RunFolder, memory_limit: int | None = None) -> None:
        self.folder = folder
        self.memory_limit = memory_limit
        self.held_bytes = 0
        self.spilled_bytes = 0
        self._held: OrderedDict[_Key, np.ndarray] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"held_bytes": 0, "_held": OrderedDict()}  # another process reads the files

    def save(self, block: Block, chunk: Chunk, sums: np.ndarray) -> None:
        """Keep what a block adds to a chunk, K + 1 D H W float32 (of the part that it covers)."""
        sums = np.ascontiguousarray(sums)
        self.folder.write(_file(block, chunk), sums.tobytes())
        self._drop((block, chunk))
        self._held[block, chunk] = sums
        self.held_bytes += sums.nbytes
        while self.memory_limit is not None and self.held_bytes > self.memory_limit:
            _, dropped = self._held.popitem(last=False)
            self.held_bytes -= dropped.nbytes

    def load(self, block: Block, chunk: Chunk, shape: tuple[int, ...]) -> np.ndarray:
        """What a block adds to a chunk.

        Args:
            block, chunk: which.
            shape: K + 1, D, H, W.

        Raises:
            FileNotFoundError: where the file that a finished block left behind is gone.
        """
        if (block, chunk) in self._held:
            return self._held[block, chunk]
        content = self.folder.read(_file(block, chunk))
        if content is None:
            raise FileNotFoundError(
                f"{self.folder.path}/{_file(block, chunk)} is gone: it held what a finished block of this run adds to "
                "its neighbours. Start anew with overwrite = true"
            )
        self.spilled_bytes += len(content)
        return np.frombuffer(content, np.float32).reshape(shape)

    def forget(self, keys: Iterable[_Key]) -> None:
        """Delete what is needed no more."""
        keys = list(keys)
        for key in keys:
            self._drop(key)
        self.folder.delete(_file(*key) for key in keys)

    def _drop(self, key: _Key) -> None:
        if (dropped := self._held.pop(key, None)) is not None:
            self.held_bytes -= dropped.nbytes


def _file(block: Block, chunk: Chunk) -> str:
    return f"{SUMS}/{'.'.join(map(str, block))}-{'.'.join(map(str, chunk))}"
