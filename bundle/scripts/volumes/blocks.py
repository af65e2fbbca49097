"""Boxes on a regular lattice: which of them hold data, and how to bundle them for reading."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

Triplet = tuple[int, int, int]


def touched_blocks(boxes: Iterable[tuple[Triplet, Triplet]], block: Sequence[int]) -> set[Triplet]:
    """Lattice indices of the blocks that any of the boxes (start, size) touches.

    Args:
        boxes: start and size along z, y, x.
        block: lattice spacing along z, y, x.
    """
    touched: set[Triplet] = set()
    for start, size in boxes:
        ranges = [range(s // b, -(-(s + n) // b)) for s, n, b in zip(start, size, block, strict=True)]
        touched.update(itertools.product(*ranges))  # type: ignore[arg-type]
    return touched


def bundle(block: Sequence[int], shape: Sequence[int], most_voxels: int) -> Triplet:
    """Enlarge a block by whole multiples along x, then y, then z while it holds at most `most_voxels`.

    Formats that store whole planes are then decoded once per plane, and not once per block.
    """
    sizes = [min(b, n) for b, n in zip(block, shape, strict=True)]
    for axis in (2, 1, 0):
        others = math.prod(sizes) // sizes[axis]
        multiples = max(1, most_voxels // (others * block[axis]))
        sizes[axis] = min(block[axis] * multiples, shape[axis])
        if sizes[axis] < shape[axis]:
            break
    return sizes[0], sizes[1], sizes[2]


def lattice(shape: Sequence[int], step: Sequence[int]) -> Iterator[tuple[Triplet, Triplet]]:
    """Start and size (cut at the border) of all boxes of a lattice, in array order."""
    for z, y, x in itertools.product(*(range(0, n, s) for n, s in zip(shape, step, strict=True))):
        d, h, w = (min(s, n - low) for s, n, low in zip(step, shape, (z, y, x), strict=True))
        yield (z, y, x), (d, h, w)
