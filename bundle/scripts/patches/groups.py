"""Which stored boxes are searched together, and which labels share a lattice of candidates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from .bits import Triplet
from .lattice import candidate_boxes

Box = tuple[Triplet, Triplet]

_FEW = 4096
_ROWS = 256


def join_boxes(boxes: Sequence[Box], most_voxels: int) -> list[Box]:
    """Join boxes that lie flush side by side, along x, then y, then z, so that one read serves several chunks.

    Args:
        boxes: start and size; none overlap.
        most_voxels: of a joined box.

    Returns:
        sorted.
    """
    joined = list(boxes)
    for axis in (2, 1, 0):
        others = [other for other in range(3) if other != axis]
        keys = [(*(box[part][other] for other in others for part in (0, 1)), box[0][axis]) for box in joined]
        order = sorted(range(len(joined)), key=keys.__getitem__)
        longer: list[Box] = []
        previous: tuple[int, ...] | None = None
        for n in order:
            start, size = joined[n]
            if longer and previous == keys[n][:-1]:
                first, extent = longer[-1]
                both = list(extent)
                both[axis] += size[axis]
                if first[axis] + extent[axis] == start[axis] and math.prod(both) <= most_voxels:
                    longer[-1] = (first, (both[0], both[1], both[2]))
                    continue
            longer.append((start, size))
            previous = keys[n][:-1]
        joined = longer
    return sorted(joined)


def islands(boxes: Sequence[Box], patch: Sequence[int]) -> list[list[int]]:
    """Part stored boxes into islands so far apart that no patch could touch the labels of two.

    Boxes are put into blocks of at least two patches; blocks that touch belong to one island.

    Args:
        boxes: start and size.
        patch: size of a patch.

    Returns:
        indices of the boxes of each island, islands and indices ascending.
    """
    if not boxes:
        return []
    start = np.array([box[0] for box in boxes])
    size = np.array([box[1] for box in boxes])
    block = np.maximum(2 * np.asarray(patch), np.median(size, axis=0).astype(int))
    low, high = start // block, (start + size - 1) // block + 1
    extent = (high - low).max(axis=0)
    shape = high.max(axis=0) + 1
    owner, touched = [], []
    for step in itertools.product(*map(range, extent.tolist())):
        inside = (low + step < high).all(axis=1)
        owner.append(np.flatnonzero(inside))
        touched.append(np.ravel_multi_index(tuple((low[inside] + step).T), shape.tolist()))
    box_of, block_of = np.concatenate(owner), np.concatenate(touched)
    blocks, node = np.unique(block_of, return_inverse=True)
    first_of_box = np.zeros(len(boxes), int)
    first_of_box[box_of[::-1]] = node[::-1]
    edges = [(node, first_of_box[box_of])]
    at = np.stack(np.unravel_index(blocks, shape.tolist()), axis=1)
    for step in itertools.product((-1, 0, 1), repeat=3):
        if step <= (0, 0, 0):
            continue
        beside = at + step
        inside = ((beside >= 0) & (beside < shape)).all(axis=1)
        wanted = np.ravel_multi_index(tuple(beside[inside].T), shape.tolist())
        place = np.minimum(np.searchsorted(blocks, wanted), len(blocks) - 1)
        is_there = blocks[place] == wanted
        edges.append((np.flatnonzero(inside)[is_there], place[is_there]))
    island = connected(len(blocks), edges)[first_of_box]
    order = np.argsort(island, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(island[order])) + 1)
    return sorted((part.tolist() for part in parts), key=lambda part: part[0])


def group_labels(labels: np.ndarray, low: Sequence[int], high: Sequence[int], patch: Sequence[int]) -> np.ndarray:
    """Unite the boxes around labels until each group has its candidate patches for itself.

    Boxes that touch are united, and so are boxes whose candidates (see `axis_lattice`) could share a voxel; the union
    is the box around both.

    Args:
        labels: N 2 3, first labelled voxel and last plus one.
        low: first voxel of the range in which patches lie.
        high: its last voxel plus one.
        patch: size of a patch.

    Returns:
        M 2 3, sorted.
    """
    while len(labels) > 1:
        grown = candidate_boxes(labels, low, high, patch)
        touching = np.stack([labels[:, 0] - 1, labels[:, 1]], axis=1)  # one voxel more: boxes that touch overlap
        member = connected(len(labels), [_overlapping(grown), _overlapping(touching)])
        n_groups = int(member.max()) + 1
        if n_groups == len(labels):
            break
        united = np.empty((n_groups, 2, 3), labels.dtype)
        united[:, 0] = np.iinfo(labels.dtype).max
        united[:, 1] = 0
        np.minimum.at(united[:, 0], member, labels[:, 0])
        np.maximum.at(united[:, 1], member, labels[:, 1])
        labels = united
    return labels[np.lexsort(labels[:, 0].T[::-1])]


def _overlapping(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of boxes N 2 3 that share a voxel."""
    low, high = boxes[:, 0], boxes[:, 1]
    size = (high - low).max(axis=0)
    if len(boxes) > _FEW and (size <= 8 * np.median(high - low, axis=0)).all():  # few neighbours each
        centre = (low + high) / 2 / size
        near = cKDTree(centre).query_pairs(1.0, p=np.inf, output_type="ndarray")
        i, j = near[:, 0], near[:, 1]
        overlap = ((low[i] < high[j]) & (low[j] < high[i])).all(axis=1)
        return i[overlap], j[overlap]
    pairs = []
    for first in range(0, len(boxes), _ROWS):
        rows = slice(first, first + _ROWS)
        overlap = (low[rows, None] < high[None]).all(axis=2) & (low[None] < high[rows, None]).all(axis=2)
        i, j = np.nonzero(overlap)
        pairs.append((i + first, j))
    return np.concatenate([i for i, _ in pairs]), np.concatenate([j for _, j in pairs])


def connected(n: int, edges: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Number of the connected component of each of n nodes."""
    i, j = (np.concatenate([edge[side] for edge in edges]) for side in (0, 1))
    graph = coo_array((np.ones(len(i), bool), (i, j)), shape=(n, n))
    numbers: np.ndarray = connected_components(graph, directed=False)[1]
    return numbers
