"""Which voxels of a box are labelled, one bit each: small enough to keep until the lattice of patches is known."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WORD = 64
_MOST_PARTS = 64

Triplet = tuple[int, int, int]


@dataclass(frozen=True)
class Bits:
    """Labelled voxels of a box.

    Args:
        start: first voxel of the box, z, y, x.
        size: D, H, W of the box.
        words: ceil(W / 64) D H uint64; bit b of word w is voxel 64 w + b along x. Bits beyond W are 0.
    """

    start: Triplet
    size: Triplet
    words: np.ndarray


def pack(labelled: np.ndarray, start: Sequence[int]) -> Bits:
    """Pack labelled voxels.

    Args:
        labelled: D H W, bool or uint8; what is not 0 is labelled.
        start: position of its first voxel.
    """
    depth, height, width = labelled.shape
    packed = np.packbits(labelled, axis=2, bitorder="little")  # D H W -> D H W/8
    n_bytes = -(-width // WORD) * WORD // 8
    if packed.shape[2] != n_bytes:
        padded = np.zeros((depth, height, n_bytes), np.uint8)
        padded[:, :, : packed.shape[2]] = packed
        packed = padded
    z, y, x = (int(n) for n in start)
    words = packed.view("<u8").transpose(2, 0, 1)  # D H words -> words D H
    return Bits((z, y, x), (depth, height, width), np.ascontiguousarray(words))


def unpack_x(words: np.ndarray) -> np.ndarray:
    """... words -> ... 64 * words bool."""
    as_bytes = np.ascontiguousarray(words, dtype="<u8").view(np.uint8)
    return np.unpackbits(as_bytes, axis=-1, bitorder="little").astype(bool)


def label_boxes(bits: Bits) -> np.ndarray:
    """Boxes around the labels, parted where whole planes, rows or columns between them are empty.

    Returns:
        N 2 3: first labelled voxel, and last plus one, z y x. N is 0 where nothing is labelled; labels scattered into
        many small pieces come as one box.
    """
    boxes: list[np.ndarray] = []
    low, high = np.zeros(3, int), np.array(bits.size)
    _part(bits.words, low, high, boxes)
    if not boxes:
        return np.zeros((0, 2, 3), int)
    if len(boxes) > _MOST_PARTS:
        runs, origin = _profiles(bits.words, low, high)
        boxes = [np.array([[run[0][0] for run in runs], [run[-1][1] for run in runs]]) + origin]
    return np.stack(boxes) + bits.start


def _part(words: np.ndarray, low: np.ndarray, high: np.ndarray, boxes: list[np.ndarray]) -> None:
    """Append the boxes of the labels within `low .. high - 1`, relative to the words; stop when there are too many."""
    runs, origin = _profiles(words, low, high)
    is_whole = all(len(run) == 1 for run in runs)
    for combination in itertools.product(*runs):
        part = np.array(combination).T + origin  # 2 3
        if len(boxes) > _MOST_PARTS:
            return
        if is_whole:
            boxes.append(part)
        else:
            _part(words, part[0], part[1], boxes)


def _profiles(words: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[list[list[tuple[int, int]]], np.ndarray]:
    """Runs of planes along z, y and x that hold labels within `low .. high - 1`, and the voxel they are relative to."""
    first, last = int(low[2]) // WORD, -(-int(high[2]) // WORD)
    inside = words[first:last, low[0] : high[0], low[1] : high[1]]  # words D H
    mask = _x_mask(int(low[2]), int(high[2]), first, last)
    if not (mask == ~np.uint64(0)).all():
        inside = inside & mask[:, None, None]
    columns = np.bitwise_or.reduce(inside, axis=1)  # words D H -> words H
    y = np.bitwise_or.reduce(columns, axis=0) != 0
    x = unpack_x(np.bitwise_or.reduce(columns, axis=1))
    z = np.bitwise_or.reduce(np.bitwise_or.reduce(inside, axis=0), axis=1) != 0  # words D H -> D H -> D
    return [_runs(profile) for profile in (z, y, x)], np.array([low[0], low[1], first * WORD])


def _x_mask(low: int, high: int, first: int, last: int) -> np.ndarray:
    """Words `first .. last - 1` in which the bits of voxels `low .. high - 1` are 1."""
    position = np.arange(first * WORD, last * WORD)
    return np.packbits((position >= low) & (position < high), bitorder="little").view("<u8")


def _runs(profile: np.ndarray) -> list[tuple[int, int]]:
    """Start and end of each run of true values."""
    change = np.flatnonzero(np.diff(profile, prepend=False, append=False))
    return list(zip(change[::2].tolist(), change[1::2].tolist(), strict=True))
