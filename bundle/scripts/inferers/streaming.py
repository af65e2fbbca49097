"""Windows in, finished chunks out: the loop that predicts a volume of any size with bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from ..volumes import Volume
from .sums import Chunk, ChunkSums

Window = tuple[int, ...]
"""First voxel of a window, z y x."""


@dataclass
class Totals:
    """What a run did; `resumed` windows were already in finished chunks, `skipped` ones held only fill value."""

    windows: int = 0
    evaluated: int = 0
    skipped: int = 0
    resumed: int = 0
    bytes_read: int = 0
    chunks_written: int = 0
    spilled_bytes: int = 0


@dataclass
class WindowStream:
    """Evaluates every window once and writes each output chunk when its last window is in.

    Windows are read block by block, so that memory holds one block of input and the open output chunks. A batch never
    crosses blocks: what is computed together belongs to the run.

    Args:
        volume: the input.
        predict: windows B C D H W as stored -> network output B K D H W float32.
        sums: where windows are added up; its grid says which windows there are.
        weight: D H W float32, weight of each voxel of a window.
        write: called with a finished chunk, its weighted sums K D H W and its weights D H W.
        batch_size: windows evaluated together.
        skip_empty: leave out windows that hold nothing but the store's fill value.
    """

    volume: Volume
    predict: Callable[[np.ndarray], np.ndarray]
    sums: ChunkSums
    weight: np.ndarray
    write: Callable[[Chunk, np.ndarray, np.ndarray], None]
    batch_size: int
    skip_empty: bool
    totals: Totals = field(default_factory=Totals)

    def run(self) -> Totals:
        """Go through all blocks; chunks in `sums.finished` are left alone."""
        grid = self.sums.grid
        self.totals.windows = len(grid)
        with tqdm(total=len(grid), desc=f"predict {self.volume.name}", unit="window", disable=None) as bar:
            for block in grid.blocks():
                wanted = [window for window in block if not self.sums.is_finished(window)]
                self.totals.resumed += len(block) - len(wanted)
                if wanted:
                    self._run_block(wanted)
                bar.update(len(block))
        self.totals.spilled_bytes = self.sums.spilled_bytes
        return self.totals

    def _run_block(self, windows: Sequence[Window]) -> None:
        start, size = self.sums.grid.box_around(windows)
        block = self.volume.read(start, size)  # C D H W
        self.totals.bytes_read += block.nbytes
        for batch in self._batches(windows, start, block):
            inputs = [data for _, data in batch if data is not None]
            outputs = iter(self.predict(np.stack(inputs)) if inputs else [])  # [C D H W] -> B C D H W
            self.totals.evaluated += len(inputs)
            self.totals.skipped += len(batch) - len(inputs)
            for window, data in batch:
                weighted = None if data is None else next(outputs) * self.weight
                for chunk in self.sums.add(window, weighted, self.weight):
                    self._finish(chunk)

    def _batches(
        self, windows: Sequence[Window], start: Window, block: np.ndarray
    ) -> Iterator[list[tuple[Window, np.ndarray | None]]]:
        """Windows with their voxels, `batch_size` to evaluate in each batch; empty ones (`None`) ride along."""
        batch: list[tuple[Window, np.ndarray | None]] = []
        full = 0
        for window in windows:
            here = tuple(
                slice(w - s, w - s + n) for w, s, n in zip(window, start, self.sums.grid.roi_size, strict=True)
            )
            data = block[:, *here]
            is_empty = self.skip_empty and bool((data == self.volume.fill_value).all())
            batch.append((window, None if is_empty else data))
            full += not is_empty
            if full == self.batch_size:
                yield batch
                batch, full = [], 0
        if batch:
            yield batch

    def _finish(self, chunk: Chunk) -> None:
        result = self.sums.take(chunk)
        if result is not None:
            self.write(chunk, *result)
            self.totals.chunks_written += 1
