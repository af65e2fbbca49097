"""Random volumes, the blocks that they are cut into, and when two labellings are the same."""

import itertools
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 1.0, 1.5)]
HUGE = 2**63 + 11


@dataclass(frozen=True)
class Block:
    """A box of a volume: `start` and `stop` along each axis."""

    start: tuple
    stop: tuple

    @property
    def box(self):
        return tuple(map(slice, self.start, self.stop))

    @property
    def size(self):
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))

    def grown(self, shape, by=1):
        """The block with a halo, cut at the volume's border."""
        return Block(tuple(max(a - by, 0) for a in self.start), tuple(map(min, (b + by for b in self.stop), shape)))

    def within(self, outer):
        """Where the block lies in a larger one."""
        return tuple(slice(a - o, b - o) for a, b, o in zip(self.start, self.stop, outer.start, strict=True))


def cut(shape, cuts):
    """Blocks between the cut positions of each axis, in array order."""
    edges = [sorted({0, n, *(c for c in at if c < n)}) for n, at in zip(shape, cuts, strict=True)]
    pieces = [list(itertools.pairwise(edge)) for edge in edges]
    return [Block(*map(tuple, zip(*block, strict=True))) for block in itertools.product(*pieces)]


def cut_positions(ndim=3):
    """Where a volume is cut along each axis; blocks of one voxel included."""
    return st.tuples(*[st.lists(st.integers(1, 7), max_size=3)] * ndim)


def ids(shape, seed, highest=3, density=0.6):
    """Random ids 1..highest, and background."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < density, rng.integers(1, highest + 1, shape), 0).astype(np.uint8)


def same_partition(one, two):
    """Whether two labellings part the voxels in the same way, background included, whatever the ids."""
    pairs = np.unique(np.stack([one.ravel().astype(np.uint64), two.ravel().astype(np.uint64)]), axis=1)
    background_agrees = np.array_equal(one == 0, two == 0)
    return background_agrees and len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def balls(shape, centres, radii, spacing=(1.0, 1.0, 1.0)):
    """Ids 1.. of balls with centres and radii in physical units; later ones lie on top."""
    where = np.moveaxis(np.indices(shape), 0, -1) * np.array(spacing)
    labels = np.zeros(shape, np.uint8)
    for number, (centre, radius) in enumerate(zip(centres, radii, strict=True), start=1):
        labels[np.linalg.norm(where - np.array(centre), axis=-1) <= radius] = number
    return labels
