"""Weighted sums of overlapping windows, kept per output chunk and only while windows are still to come."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from .windows import WindowGrid

Chunk = tuple[int, ...]
"""Index of an output chunk along z, y, x."""


class ChunkSums:
    """Adds windows into output chunks and hands a chunk out once its last window is in.

    A chunk holds float32 sums of C channels and of the weights. When the open chunks take more than `memory_limit`
    bytes, those touched longest ago move to a scratch folder until their next window comes.

    Args:
        grid: the windows of the run.
        chunk_size: z, y, x of an output chunk.
        channels: C.
        memory_limit: bytes of open sums; `None`: no limit. At least one chunk is always held.
        scratch: folder in which the scratch folder is made; `None`: the system's.
        finished: chunks that are written already; nothing is added to them.
    """

    def __init__(
        self,
        grid: WindowGrid,
        chunk_size: Sequence[int],
        channels: int,
        memory_limit: int | None = None,
        scratch: str | Path | None = None,
        finished: Collection[Chunk] = (),
    ) -> None:
        self.grid = grid
        self.chunk_size = tuple(chunk_size)
        self.channels = channels
        self.memory_limit = memory_limit
        self.finished = set(finished)
        self.spilled_bytes = 0
        self.peak_bytes = 0
        self._open: OrderedDict[Chunk, np.ndarray] = OrderedDict()
        self._open_bytes = 0
        self._remaining: dict[Chunk, int] = {}
        self._scratch = tempfile.TemporaryDirectory(prefix="polytome-", dir=scratch)
        self._spilled: set[Chunk] = set()

    def __enter__(self) -> ChunkSums:
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.cleanup()

    def chunk_box(self, chunk: Chunk) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Start and size of a chunk, cut off at the volume's end."""
        start = tuple(i * n for i, n in zip(chunk, self.chunk_size, strict=True))
        size = tuple(min(n, end - s) for s, n, end in zip(start, self.chunk_size, self.grid.shape, strict=True))
        return start, size

    def chunks_of(self, window: Sequence[int]) -> Iterator[Chunk]:
        """Chunks that a window touches, z slowest."""
        ranges = [
            range(max(s, 0) // n, -(-min(s + roi, end) // n))
            for s, roi, n, end in zip(window, self.grid.roi_size, self.chunk_size, self.grid.shape, strict=True)
        ]
        for z in ranges[0]:
            for y in ranges[1]:
                for x in ranges[2]:
                    yield z, y, x

    def add(self, window: Sequence[int], weighted: np.ndarray | None, weight: np.ndarray) -> Iterator[Chunk]:
        """Add one window, or with `weighted = None` note that it is skipped; yields the chunks that are now complete.

        Args:
            window: first voxel z, y, x.
            weighted: C D H W float32, prediction times weight.
            weight: D H W float32.
        """
        for chunk in self.chunks_of(window):
            if chunk in self.finished:
                continue
            if weighted is not None:
                self._add_to(chunk, window, weighted, weight)
            if chunk not in self._remaining:
                self._remaining[chunk] = self.grid.windows_over(*self.chunk_box(chunk))
            self._remaining[chunk] -= 1
            if self._remaining[chunk] == 0:
                del self._remaining[chunk]
                yield chunk

    def is_finished(self, window: Sequence[int]) -> bool:
        """Whether a window touches only chunks that were finished before this run."""
        return bool(self.finished) and all(chunk in self.finished for chunk in self.chunks_of(window))

    def take(self, chunk: Chunk) -> tuple[np.ndarray, np.ndarray] | None:
        """Sums C D H W and weights D H W of a complete chunk, which is then forgotten; `None` if nothing was added."""
        if chunk not in self._open and chunk not in self._spilled:
            return None
        sums = self._get(chunk)
        del self._open[chunk]
        self._open_bytes -= sums.nbytes
        return sums[:-1], sums[-1]

    def _add_to(self, chunk: Chunk, window: Sequence[int], weighted: np.ndarray, weight: np.ndarray) -> None:
        start, size = self.chunk_box(chunk)
        sums = self._get(chunk)
        low = [max(w, s) for w, s in zip(window, start, strict=True)]
        high = [min(w + r, s + n) for w, r, s, n in zip(window, self.grid.roi_size, start, size, strict=True)]
        here = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
        there = tuple(slice(a - w, b - w) for a, b, w in zip(low, high, window, strict=True))
        sums[:-1][:, *here] += weighted[:, *there]
        sums[-1][here] += weight[there]

    def _get(self, chunk: Chunk) -> np.ndarray:
        if chunk in self._open:
            self._open.move_to_end(chunk)
            return self._open[chunk]
        if chunk in self._spilled:
            sums = np.load(self._file(chunk))
            self._file(chunk).unlink()
            self._spilled.discard(chunk)
        else:
            sums = np.zeros((self.channels + 1, *self.chunk_box(chunk)[1]), np.float32)
        self._open[chunk] = sums
        self._open_bytes += sums.nbytes
        self._spill()
        self.peak_bytes = max(self.peak_bytes, self._open_bytes)
        return sums

    def _spill(self) -> None:
        while self.memory_limit is not None and self._open_bytes > self.memory_limit and len(self._open) > 1:
            chunk, sums = self._open.popitem(last=False)
            np.save(self._file(chunk), sums)
            self._spilled.add(chunk)
            self._open_bytes -= sums.nbytes
            self.spilled_bytes += sums.nbytes

    def _file(self, chunk: Chunk) -> Path:
        return Path(self._scratch.name) / f"{'.'.join(map(str, chunk))}.npy"
