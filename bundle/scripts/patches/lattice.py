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
        ends: last voxel plus one of each.
        edges: sorted starts and ends of all candidates; cell i covers voxels `edges[i] .. edges[i + 1] - 1`.
        first_patch: per cell, index of the first candidate that covers it.
        n_patches: per cell, number of consecutive candidates that cover it.
    """

    starts: np.ndarray
    ends: np.ndarray
    edges: np.ndarray
    first_patch: np.ndarray
    n_patches: np.ndarray

    def cells_in(self, low: int, high: int) -> tuple[int, int]:
        """Half-open range of the cells that voxels `low .. high - 1` touch."""
        first = int(np.searchsorted(self.edges, low, side="right")) - 1
        last = int(np.searchsorted(self.edges, high, side="left"))
        return max(first, 0), min(last, len(self.edges) - 1)


def axis_lattice(label_low: int, label_high: int, low: int, high: int, patch: int, stride: int) -> AxisLattice:
    """Candidates over labels that reach from `label_low` to `label_high - 1` in the range `low .. high - 1`.

    Labels longer than the patch: candidates every `stride` voxels from the labels' first voxel, and one that ends with
    their last. Shorter ones: one candidate with the labels in its middle, moved into the range where it would reach
    beyond. A range shorter than the patch has one candidate, which starts at `low` and is cut off at `high`.
    """
    spare = patch - (label_high - label_low)
    if spare >= 0:
        starts = np.array([min(max(label_low - spare // 2, low), max(high - patch, low))])
    else:
        last = label_high - patch
        starts = np.unique(np.append(np.arange(label_low, last + 1, stride), last))
    return lattice_of(starts, high, patch)


def lattice_of(starts: np.ndarray, high: int, patch: int) -> AxisLattice:
    """The lattice of candidates that start at the given voxels, ascending, and end at `high` at the latest."""
    ends = np.minimum(starts + patch, high)
    edges = np.unique(np.concatenate([starts, ends]))
    # starts and ends both ascend, so the candidates over a cell are consecutive
    first = np.searchsorted(ends, edges[:-1], side="right")
    after = np.searchsorted(starts, edges[:-1], side="right")
    return AxisLattice(starts, ends, edges, first, after - first)


def candidate_boxes(labels: np.ndarray, low: Sequence[int], high: Sequence[int], patch: Sequence[int]) -> np.ndarray:
    """The boxes that all candidates of `axis_lattice` cover together.

    Args:
        labels: N 2 3, boxes around labels: first voxel, last plus one.
        low: first voxel of the range.
        high: its last voxel plus one.
        patch: size of a patch.

    Returns:
        N 2 3.
    """
    first, last, size = np.asarray(low), np.asarray(high), np.asarray(patch)
    spare = size - (labels[:, 1] - labels[:, 0])  # N 3
    start = np.clip(labels[:, 0] - spare // 2, first, np.maximum(last - size, first))
    starts = np.where(spare >= 0, start, labels[:, 0])
    ends = np.where(spare >= 0, np.minimum(start + size, last), labels[:, 1])
    return np.stack([starts, ends], axis=1)
