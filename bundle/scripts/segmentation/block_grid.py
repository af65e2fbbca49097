"""The blocks of a volume, and their surroundings."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Block = tuple[int, ...]
"""Index of a block along z, y, x."""

Triplet = tuple[int, int, int]
Slices = tuple[slice, slice, slice]


@dataclass(frozen=True)
class BlockGrid:
    """Divides a volume into blocks.

    Args:
        shape: D, H, W of the volume.
        block_size: z, y, x of a block; those at the end may be smaller.
    """

    shape: Triplet
    block_size: Triplet

    def __iter__(self) -> Iterator[Block]:
        """All blocks in array order."""
        return itertools.product(*(range(-(-n // b)) for n, b in zip(self.shape, self.block_size, strict=True)))

    def box(self, block: Block) -> Slices:
        """Voxels of a block."""
        z, y, x = (slice(i * b, min(i * b + b, n)) for i, b, n in zip(block, self.block_size, self.shape, strict=True))
        return z, y, x

    def grown(self, block: Block, before: Sequence[int], after: Sequence[int]) -> tuple[Slices, Slices]:
        """A block with voxels around it, cut at the volume's border.

        Args:
            block: which.
            before, after: voxels along z, y, x.

        Returns:
            the voxels, and the block's own ones among them.
        """
        box = self.box(block)
        z, y, x = (
            slice(max(s.start - b, 0), min(s.stop + a, n))
            for s, b, a, n in zip(box, before, after, self.shape, strict=True)
        )
        return (z, y, x), within(box, (z, y, x))

    def touching(self, box: Slices) -> Iterator[tuple[Block, Slices]]:
        """Blocks that a box touches, each with the part of it that lies in the box."""
        ranges = [range(s.start // b, -(-s.stop // b)) for s, b in zip(box, self.block_size, strict=True)]
        for block in itertools.product(*ranges):
            z, y, x = (
                slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, self.box(block), strict=True)
            )
            yield block, (z, y, x)


def within(box: Slices, outer: Slices) -> Slices:
    """A box as seen from the first voxel of another one that holds it."""
    z, y, x = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, outer, strict=True))
    return z, y, x


def usual_block(shape: Triplet, chunk: Triplet, voxels: int) -> Triplet:
    """Multiples of a chunk, about a cube, that hold about so many voxels at most, but a chunk at least."""
    counts = [1, 1, 1]
    needed = [-(-n // c) for n, c in zip(shape, chunk, strict=True)]
    while True:
        can = [axis for axis in range(3) if counts[axis] < needed[axis]]
        can.sort(key=lambda axis: counts[axis] * chunk[axis])
        for axis in can:
            more = [n + (axis == other) for other, n in enumerate(counts)]
            if math.prod(more) * math.prod(chunk) <= voxels:
                counts = more
                break
        else:
            z, y, x = (n * c for n, c in zip(counts, chunk, strict=True))
            return z, y, x
