"""Where candidate patches may start, and the cells from which their contents are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class AxisLattice:
    """Candidate patches along one axis, and the cells between all their starts and ends.

    Every candidate patch is a run of whole cells, whatever the stride, so that counts per cell give exact counts
    per patch.

    Args:
        starts: first voxel of each candidate patch.
        edges: sorted starts and ends of all candidates; cell i covers voxels `edges[i] .. edges[i + 1] - 1`.
        first_patch: per cell, index of the first candidate that covers it.
        n_patches: per cell, number of consecutive candidates that cover it.
    """

    starts: np.ndarray
    edges: np.ndarray
    first_patch: np.ndarray
    n_patches: np.ndarray

    def cells_in(self, low: int, high: int) -> tuple[int, int]:
        """Half-open range of the cells that voxels `low .. high - 1` touch."""
        first = int(np.searchsorted(self.edges, low, side="right")) - 1
        last = int(np.searchsorted(self.edges, high, side="left"))
        return max(first, 0), min(last, len(self.edges) - 1)


def axis_lattice(low: int, high: int, patch: int, stride: int) -> AxisLattice:
    """Candidates of length `patch` every `stride` voxels in `low .. high - 1`, and one that ends at `high`.

    A range shorter than the patch has one candidate, which starts at `low` and is cut off at `high`.
    """
    last = max(high - patch, low)
    starts = np.unique(np.append(np.arange(low, last + 1, stride), last))
    ends = np.minimum(starts + patch, high)
    edges = np.unique(np.concatenate([starts, ends]))
    # starts and ends both ascend, so the candidates over a cell are consecutive
    first = np.searchsorted(ends, edges[:-1], side="right")
    after = np.searchsorted(starts, edges[:-1], side="right")
    return AxisLattice(starts, edges, first, after - first)


def patch_lattice(
    low: Sequence[int], high: Sequence[int], patch_size: Sequence[int], stride: Sequence[int]
) -> tuple[AxisLattice, AxisLattice, AxisLattice]:
    """`axis_lattice` for z, y and x of the box `low .. high - 1`."""
    z, y, x = (axis_lattice(*axis) for axis in zip(low, high, patch_size, stride, strict=True))
    return z, y, x
