"""Counts and bounding boxes of labelled voxels: per lattice cell, then per candidate patch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .bits import WORD, Bits
from .lattice import AxisLattice


@dataclass(frozen=True)
class Labelled:
    """Labelled voxels of N cells or patches.

    Args:
        index: N 3, position in the lattice along z, y, x.
        count: N, number of labelled voxels.
        low: N 3, smallest labelled voxel coordinate.
        high: N 3, largest labelled voxel coordinate plus one.
    """

    index: np.ndarray
    count: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def bbox_volume(self) -> np.ndarray:
        """N, volume of the box around the labelled voxels."""
        volume: np.ndarray = np.prod(self.high - self.low, axis=1)
        return volume

    def select(self, kept: np.ndarray) -> Labelled:
        """The rows that a mask or an index names."""
        return Labelled(self.index[kept], self.count[kept], self.low[kept], self.high[kept])


def count_cells(bits: Bits, lattice: Sequence[AxisLattice]) -> Labelled:
    """Count a box's labelled voxels in each lattice cell that it touches; voxels outside the lattice do not count.

    Args:
        bits: the labelled voxels of the box.
        lattice: the candidates along z, y, x.
    """
    spans = [_cell_spans(axis, start, n) for axis, start, n in zip(lattice, bits.start, bits.size, strict=True)]
    if any(len(spans[axis][1]) == 0 for axis in range(3)):
        return merge(())
    (z_first, z), (y_first, y), (x_first, x) = spans
    pieces = _Pieces.of(x)
    words = bits.words  # words D H
    ones = np.bitwise_count(pieces.cut(words))  # pieces D H
    counts = np.empty((len(x), len(z), len(y)), np.int64)
    any_y = np.empty((len(words), words.shape[1], len(y)), np.uint64)  # words D cy
    any_z = np.empty((len(words), len(z), words.shape[2]), np.uint64)  # words cz H
    for i, (a, b) in enumerate(z):
        np.bitwise_or.reduce(words[:, a:b], axis=1, out=any_z[:, i])
        layer = np.add.reduce(ones[:, a:b], axis=1, dtype=np.uint32)  # pieces H
        for j, (c, d) in enumerate(y):
            counts[:, i, j] = pieces.add(np.add.reduce(layer[:, c:d], axis=1, dtype=np.int64))
    for j, (a, b) in enumerate(y):
        np.bitwise_or.reduce(words[:, :, a:b], axis=2, out=any_y[:, :, j])
    z_any, y_any = pieces.cut_any(any_y), pieces.cut_any(any_z)  # cx D cy, cx cz H
    lows, highs = np.empty((2, 3, *counts.shape), np.int64)  # 3 cx cz cy
    for i, (a, b) in enumerate(z):
        lows[0, :, i], highs[0, :, i] = _extent(z_any[:, a:b], 1, a)
    for j, (a, b) in enumerate(y):
        lows[1, :, :, j], highs[1, :, :, j] = _extent(y_any[:, :, a:b], 2, a)
    any_zy = np.stack([np.bitwise_or.reduce(any_y[:, a:b], axis=1) for a, b in z], axis=1)  # words cz cy
    lows[2], highs[2] = pieces.extent(any_zy)
    counts, lows, highs = (np.moveaxis(array, -3, -1) for array in (counts, lows, highs))  # cx cz cy -> cz cy cx
    z_at, y_at, x_at = np.nonzero(counts)
    start = np.array(bits.start)
    return Labelled(
        index=np.stack([z_at, y_at, x_at], axis=1) + np.array([z_first, y_first, x_first]),
        count=counts[z_at, y_at, x_at],
        low=lows[:, z_at, y_at, x_at].T + start,
        high=highs[:, z_at, y_at, x_at].T + start,
    )


def merge(parts: Iterable[Labelled]) -> Labelled:
    """Combine the parts that share an index: counts add up, boxes unite."""
    parts = list(parts)
    index = np.concatenate([part.index for part in parts]) if parts else np.zeros((0, 3), np.int64)
    if len(index) == 0:
        empty = np.zeros((0, 3), np.int64)
        return Labelled(empty, np.zeros(0, np.int64), empty, empty)
    order = np.lexsort(index.T[::-1])
    ordered = index[order]
    first = np.flatnonzero(np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)]))
    return Labelled(
        index=ordered[first],
        count=np.add.reduceat(np.concatenate([part.count for part in parts])[order], first),
        low=np.minimum.reduceat(np.concatenate([part.low for part in parts])[order], first, axis=0),
        high=np.maximum.reduceat(np.concatenate([part.high for part in parts])[order], first, axis=0),
    )


def combine_to_patches(cells: Labelled, lattice: Sequence[AxisLattice]) -> Labelled:
    """Sum the occupied cells into every candidate patch that covers them; empty patches do not appear."""
    if len(cells.index) == 0:
        return cells
    first = np.stack([axis.first_patch[cells.index[:, i]] for i, axis in enumerate(lattice)], axis=1)
    number = np.stack([axis.n_patches[cells.index[:, i]] for i, axis in enumerate(lattice)], axis=1)
    parts = []
    for step in itertools.product(*(range(n) for n in number.max(axis=0))):
        covers = np.all(np.array(step) < number, axis=1)
        parts.append(Labelled(first[covers] + step, cells.count[covers], cells.low[covers], cells.high[covers]))
    return merge(parts)


def _cell_spans(axis: AxisLattice, start: int, length: int) -> tuple[int, list[tuple[int, int]]]:
    """First cell that a box touches, and where in the box each touched cell lies."""
    first, last = axis.cells_in(start, start + length)
    edges = np.clip(axis.edges[first : last + 1] - start, 0, length).tolist()
    return first, list(itertools.pairwise(edges))


@dataclass(frozen=True)
class _Pieces:
    """Words along x, cut where cells begin and end; a piece is the part of one word that lies in one cell.

    Args:
        word: of each piece.
        mask: its bits.
        first: first piece of each cell.
    """

    word: np.ndarray
    mask: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, x: Sequence[tuple[int, int]]) -> _Pieces:
        """Cut for cells that cover voxels `low .. high - 1` each."""
        low, high = np.array(x).T
        first_word = low // WORD
        n_words = -(-high // WORD) - first_word
        first = np.concatenate([[0], np.cumsum(n_words)[:-1]])
        cell = np.repeat(np.arange(len(x)), n_words)
        word = np.arange(len(cell)) - first[cell] + first_word[cell]
        from_bit = np.maximum(low[cell] - word * WORD, 0).astype(np.uint64)
        n_bits = np.minimum(high[cell] - word * WORD, WORD).astype(np.uint64) - from_bit
        return cls(word, (~np.uint64(0) >> (np.uint64(WORD) - n_bits)) << from_bit, first)

    def cut(self, words: np.ndarray) -> np.ndarray:
        """words A B -> pieces A B."""
        pieces: np.ndarray = words[self.word]
        pieces &= self.mask[:, None, None]
        return pieces

    def add(self, values: np.ndarray) -> np.ndarray:
        """Sum of each cell's pieces: pieces ... -> cx ..."""
        return np.add.reduceat(values, self.first, axis=0)

    def cut_any(self, words: np.ndarray) -> np.ndarray:
        """Whether a cell has any bit: words A B -> cx A B bool."""
        return np.logical_or.reduceat(self.cut(words) != 0, self.first, axis=0)

    def extent(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First voxel along x of each cell, and last plus one: words A B -> cx A B; meaningless where empty."""
        pieces = self.cut(words)
        lowest = np.bitwise_count((pieces & -pieces) - np.uint64(1)).astype(np.int64)
        filled = pieces.copy()
        for shift in (1, 2, 4, 8, 16, 32):  # all bits below the highest become 1, so that their number is its position
            filled |= filled >> np.uint64(shift)
        highest = np.bitwise_count(filled).astype(np.int64)
        offset = (self.word * WORD)[:, None, None]
        low = np.where(pieces == 0, np.iinfo(np.int64).max, lowest + offset)
        high = np.where(pieces == 0, -1, highest + offset)
        return np.minimum.reduceat(low, self.first, axis=0), np.maximum.reduceat(high, self.first, axis=0)


def _extent(profile: np.ndarray, axis: int, offset: int) -> tuple[np.ndarray, np.ndarray]:
    """First true position along an axis, and last plus one; meaningless where nothing is true."""
    length = profile.shape[axis]
    return offset + profile.argmax(axis), offset + length - np.flip(profile, axis).argmax(axis)
