"""Reads the windows of a block, all at once, and hands them out in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ..volumes import Volume, read_tolerant
from .block_layout import Block, BlockLayout
from .totals import Totals
from .windows import Triplet


@dataclass
class Batch:
    """Windows of one block that are evaluated together.

    Args:
        block: theirs.
        windows: first voxel of each, z y x.
        inputs: B C D H W float32; pinned where the network runs on a GPU.
    """

    block: Block
    windows: list[Triplet]
    inputs: torch.Tensor


@dataclass
class BlockEnd:
    """Follows a block's batches: what reading it came to."""

    block: Block
    totals: Totals


@dataclass(frozen=True)
class BlockReader:
    """Reads blocks.

    Args:
        volume: the input.
        mask: volume of the input's shape; windows without any voxel other than 0 in it are skipped.
        layout: blocks and windows.
        batch_size: windows evaluated together; a batch never crosses blocks, since what is computed together belongs
            to the run.
        skip_empty: leave out windows that hold nothing but the store's fill value.
        tolerant: count input chunks that cannot be read as empty.
        pinned: hand out batches in memory from which a GPU copies while it is at work.
    """

    volume: Volume
    mask: Volume | None
    layout: BlockLayout
    batch_size: int
    skip_empty: bool
    tolerant: bool = False
    pinned: bool = False

    def read(self, blocks: Iterable[Block]) -> Iterator[Batch | BlockEnd]:
        """Batches of blocks, each block followed by its end."""
        for block in blocks:
            totals = Totals()
            yield from self._read_block(block, totals)
            yield BlockEnd(block, totals)

    def _read_block(self, block: Block, totals: Totals) -> Iterator[Batch]:
        """Batches of the windows that are not skipped; `totals` are complete when the last one is out."""
        start, size = self.layout.read_box(block)
        before = self.volume.decoded_bytes
        voxels = self._read(start, size, totals)  # C D H W
        totals.bytes_read += self.volume.decoded_bytes - before
        wanted = self._wanted(start, size)
        is_stored = self._is_stored(voxels, start, size) if self.skip_empty else None
        windows: list[Triplet] = []
        for window in self.layout.windows(block):
            here = tuple(
                slice(w - s, w - s + n) for w, s, n in zip(window, start, self.layout.grid.roi_size, strict=True)
            )
            if any(flags is not None and not flags[here].any() for flags in (wanted, is_stored)):
                totals.skipped += 1
                continue
            totals.evaluated += 1
            windows.append(window)
            if len(windows) == self.batch_size:
                yield self._batch(block, windows, voxels, start)
                windows = []
        if windows:
            yield self._batch(block, windows, voxels, start)

    def _batch(self, block: Block, windows: list[Triplet], voxels: np.ndarray, start: Triplet) -> Batch:
        inputs = torch.empty(
            (len(windows), len(voxels), *self.layout.grid.roi_size),
            dtype=torch.float32,
            pin_memory=self.pinned,
        )
        for i, window in enumerate(windows):
            here = tuple(
                slice(w - s, w - s + n) for w, s, n in zip(window, start, self.layout.grid.roi_size, strict=True)
            )
            inputs[i].numpy()[...] = voxels[:, *here]  # C D H W, cast to float32
        return Batch(block, windows, inputs)

    def _read(self, start: Triplet, size: Triplet, totals: Totals) -> np.ndarray:
        first = self.layout.grid.in_volume(start)
        if not self.tolerant:
            return self.volume.read(first, size)
        voxels, faults = read_tolerant(self.volume, first, size, fill=0)
        totals.bad_chunks += faults
        return voxels

    def _wanted(self, start: Triplet, size: Triplet) -> np.ndarray | None:
        """Where the mask is set, D H W bool."""
        if self.mask is None:
            return None
        mask = self.mask.read(self.layout.grid.in_volume(start), size)
        return np.asarray(mask.any(axis=0))  # C D H W -> D H W

    def _is_stored(self, voxels: np.ndarray, start: Triplet, size: Triplet) -> np.ndarray:
        """Where the input is not its fill value, D H W bool; what lies outside of the volume counts as empty."""
        fill = self.volume.fill_value
        is_full = ~np.isnan(voxels) if fill != fill else voxels != fill
        stored = np.asarray(is_full.any(axis=0))  # C D H W -> D H W
        pads = self.volume.padding(self.layout.grid.in_volume(start), size)
        for axis, (before, after) in enumerate(pads):
            along = np.moveaxis(stored, axis, 0)  # a view
            along[:before] = False
            along[len(along) - after :] = False
        return stored
