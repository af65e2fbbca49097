"""What is done with one block: predict its windows, add them up, finish chunks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..blockwise import Ledger, ahead
from ..volumes.chunk_cache import chunk_cache
from ..volumes.memory import give_back_memory
from .block_layout import Block, BlockLayout, Chunk
from .block_reader import Batch, BlockEnd, BlockReader
from .block_sums import BlockSums, part_of
from .outputs import OutputFormat, channel_slices, finalise
from .partial_sums import PartialSums
from .predictor import Predictor
from .store import PredictionStore
from .totals import Totals
from .window_transform import WindowError

BATCHES_AHEAD = 3
"""Batches that are read before the network wants them."""


@dataclass
class BlockJob:
    """All that is needed to predict any block of a run, in this process or in another.

    Args:
        reader: reads the windows of blocks.
        layout: blocks, windows and chunks.
        active: blocks that may hold something to predict; all others count as finished.
        predictor: windows -> network output.
        formats: what is written of each of the predictor's targets, `None` for raw output.
        weight: D H W float32, weight of each voxel of a window.
        store: where finished chunks go.
        partials: sums of chunks that are not finished.
        ledger: finished blocks, with the chunks that they wrote and those to which they gave sums.
        merged: chunks that were written when all their blocks were finished.
        sum_device: where sums are kept; `None`: where the network runs.
        cache_bytes: of decoded input chunks that are kept for the next block.
        activate: whether targets are written as their formats say, or as raw network output.
        level_memory: bytes for building the coarser levels in one process; `None`: no limit.
    """

    reader: BlockReader
    layout: BlockLayout
    active: frozenset[Block] | None
    predictor: Predictor
    formats: Mapping[str, OutputFormat]
    weight: np.ndarray
    store: PredictionStore
    partials: PartialSums
    ledger: Ledger
    merged: Ledger
    sum_device: torch.device | str | None = None
    cache_bytes: int = 0
    activate: bool = True
    level_memory: int | None = None
    _device_weight: torch.Tensor | None = field(default=None, init=False, repr=False)

    @contextlib.contextmanager
    def prepared(self, worker: int = 0) -> Iterator[None]:
        """What holds while a process works on the job: the chunk cache is there, the network on its device.

        Args:
            worker: number of the process; with several GPUs each process takes the next one.
        """
        cache = chunk_cache()
        before = cache.limit_bytes
        cache.resize(max(before, self.cache_bytes))
        self.predictor = self.predictor.on_worker(worker)
        try:
            yield
        finally:
            cache.resize(before)
            give_back_memory()

    def predict(self, block: Block) -> tuple[Totals, dict[str, Any]]:
        """Predict one block from beginning to end, unless a worker that then died did so.

        Returns:
            its totals, and its entry in the ledger.
        """
        entry = self.ledger.find(block)
        if entry is not None:
            return Totals(resumed=self.layout.n_windows(block)), entry
        sums: BlockSums | None = None
        totals = Totals()
        with ahead(self.reader.read([block]), BATCHES_AHEAD) as steps:
            for step in steps:
                if isinstance(step, BlockEnd):
                    totals = self.finish(block, sums, step.totals)
                else:
                    sums = self.evaluate(step, sums)
        return totals, self.ledger.find(block) or {}

    def evaluate(self, batch: Batch, sums: BlockSums | None) -> BlockSums:
        """Predict a batch and add it to the sums of its block, which begin with its first batch."""
        if sums is None:
            device = self.predictor.device if self.sum_device is None else self.sum_device
            sums = BlockSums(self.layout.sum_box(batch.block), self.predictor.channels, device)
        try:
            outputs = self.predictor(batch.inputs).to(sums.device)  # B K D H W
        except WindowError as error:
            start = self.layout.grid.in_volume(batch.windows[error.index])
            size = " x ".join(map(str, self.layout.grid.roi_size))
            raise ValueError(f"{self.reader.volume.path}, window of {size} voxels at {list(start)}: {error}") from error
        weight = self._weight_on(sums.device)
        for window, output in zip(batch.windows, outputs, strict=True):
            sums.add(window, output, weight)
        return sums

    def finish(self, block: Block, sums: BlockSums | None, totals: Totals) -> Totals:
        """Write the chunks to which no other block will add any more, keep the others' sums, and note the block.

        Args:
            block: which.
            sums: `None` where no window was evaluated.
            totals: of reading it.

        Returns:
            totals of the block.
        """
        values = None if sums is None else sums.numpy()  # K + 1 D H W
        start, _ = self.layout.sum_box(block)
        finished, kept, used = [], [], []
        spilled = self.partials.spilled_bytes
        for chunk in self.layout.chunks(block):
            mine = None if values is None else part_of(values, start, self.layout.shared_box(block, chunk))
            if mine is not None and not mine[-1].any():
                mine = None
            others = self._others(chunk, block)
            if others is None:  # more is to come
                if mine is not None:
                    self.partials.save(block, chunk, mine)
                    kept.append(chunk)
                continue
            used += [(other, chunk) for other in others]
            self._write(chunk, others, block, mine, totals)
            finished.append(chunk)
        self.ledger.enter(block, {"finished": finished, "kept": kept, "windows": self.layout.n_windows(block)})
        self.partials.forget(used)
        give_back_memory()
        totals.spilled_bytes += self.partials.spilled_bytes - spilled
        return totals

    def merge(self, chunk: Chunk) -> Totals:
        """Write a chunk whose blocks were finished at the same time, so that none of them could write it.

        Raises:
            ValueError: while one of its blocks is not finished.
        """
        totals, spilled = Totals(), self.partials.spilled_bytes
        if self.merged.find(chunk) is not None:  # by a worker that then died
            return totals
        others = self._others(chunk, None)
        if others is None:
            raise ValueError(f"chunk {chunk} has blocks that are not finished")
        self._write(chunk, others, None, None, totals)
        self.merged.enter(chunk, {})
        self.partials.forget((other, chunk) for other in others)
        totals.spilled_bytes = self.partials.spilled_bytes - spilled
        return totals

    def unmerged(self) -> list[Chunk]:
        """Chunks of finished blocks that nobody has written yet."""
        kept: set[Chunk] = set()
        written = {chunk for chunk, _ in self.merged.items()}
        for _, outcome in self.ledger.items():
            kept.update(tuple(chunk) for chunk in outcome["kept"])
            written.update(tuple(chunk) for chunk in outcome["finished"])
        return sorted(kept - written)

    def contributors(self, chunk: Chunk) -> list[Block]:
        """Blocks that may add to a chunk, in their order."""
        blocks = self.layout.blocks_over(chunk)
        return [block for block in blocks if self.active is None or block in self.active]

    def _others(self, chunk: Chunk, block: Block | None) -> list[Block] | None:
        """The other blocks that have added to a chunk; `None` while one of them is not finished."""
        found = []
        for other in self.contributors(chunk):
            if other == block:
                continue
            outcome = self.ledger.find(other)
            if outcome is None:
                return None
            if list(chunk) in outcome["kept"]:
                found.append(other)
        return found

    def _write(
        self, chunk: Chunk, others: Sequence[Block], block: Block | None, mine: np.ndarray | None, totals: Totals
    ) -> None:
        """Add up what blocks give to a chunk, in the order of the blocks, and write the result."""
        start, size = self.layout.chunk_box(chunk)
        own = [] if mine is None or block is None else [block]
        contributors = sorted([*others, *own])
        if not contributors:
            return
        total = np.zeros((self.predictor.channels + 1, *size), np.float32)
        for contributor in contributors:
            box = self.layout.shared_box(contributor, chunk)
            here = part_of(total, start, box)
            here += mine if contributor == block else self.partials.load(contributor, chunk, here.shape)
        covered = total[-1] > 0
        mean = total[:-1] / np.where(covered, total[-1], 1)  # K D H W
        for (name, target), part in zip(self.predictor.targets.items(), self._slices, strict=True):
            values = finalise(mean[part], covered, target, self.formats[name]) if self.activate else mean[part]
            self.store.write(name, start, values)
            totals.bytes_written += values.nbytes
        totals.chunks_written += 1

    @cached_property
    def _slices(self) -> list[slice]:
        return channel_slices([target.channels for target in self.predictor.targets.values()])

    def _weight_on(self, device: torch.device) -> torch.Tensor:
        if self._device_weight is None or self._device_weight.device != device:
            self._device_weight = torch.from_numpy(self.weight).to(device)
        return self._device_weight

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_device_weight": None}
