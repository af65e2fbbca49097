"""Joining objects that were labelled block by block: which labels touch, and which are one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from ..geometry.neighbours import both_ends
from .id_pairs import Pairs, unique_pairs
from .inputs import Array, check_connectivity, check_same_shape
from .relabelling import smallest_dtype


def face_pairs(
    face_a: Any,
    face_b: Any,
    connectivity: int = 1,
    *,
    values_a: Any = None,
    values_b: Any = None,
) -> Pairs:
    """Pairs of labels that touch between two neighbouring planes of a volume.

    Blockwise labels become those of the whole volume, exactly, when this is asked for every block and axis with the
    last plane of the block and the plane after it, both over the block's extent along the other axes grown by one
    voxel (cut at the volume's border). Two voxels that are neighbours across an edge or a corner of blocks lie on two
    such planes, too, one step apart sideways. Pairs that come from several faces do no harm. With connectivity 1
    nothing needs to be grown.

    Args:
        face_a, face_b: labels H W (or W, for volumes of two axes) on both sides of the face; 0 = background. Labels
            must differ between blocks.
        connectivity: of the labelling.
        values_a, values_b: the ids that were labelled, for labellings of several ids: only equal ids are joined.

    Returns:
        N 2, each pair once: a label of `face_a` and one of `face_b`.

    Raises:
        TypeError: when labels are floats.
        ValueError: when shapes differ, only one of the values is given, or the connectivity is not known.
    """
    a, b = _face(face_a, "face_a"), _face(face_b, "face_b")
    check_same_shape(b.shape, a.shape, "face_b")
    sideways = check_connectivity(connectivity, a.ndim + 1) - 1
    if (values_a is None) != (values_b is None):
        raise ValueError("give values_a and values_b, or none of them")
    of_a, of_b = (None, None) if values_a is None else (_face(values_a, "values_a"), _face(values_b, "values_b"))
    if of_a is not None and of_b is not None:
        check_same_shape(of_a.shape, a.shape, "values_a")
        check_same_shape(of_b.shape, a.shape, "values_b")
    first, second = [], []
    for step in itertools.product((-1, 0, 1), repeat=a.ndim):
        if sum(map(abs, step)) > sideways:
            continue
        here, there = both_ends(a.shape, step)
        touching = (a[here] != 0) & (b[there] != 0)
        if of_a is not None and of_b is not None:
            touching &= of_a[here] == of_b[there]
        first.append(a[here][touching])
        second.append(b[there][touching])
    return unique_pairs(np.concatenate(first), np.concatenate(second))


def join(pairs: Any, n: int) -> Array:
    """Unite labels 1..n that are linked, directly or through others.

    Args:
        pairs: N 2 labels that belong together.
        n: number of labels.

    Returns:
        table of n + 1 from label to new label, 0 to 0; new labels 1..m in the order of their smallest members, in the
        smallest unsigned dtype that holds m.

    Raises:
        ValueError: when a pair names a label that is not in 1..n.
    """
    linked = np.asarray(pairs, dtype=np.uint64).reshape(-1, 2)
    if linked.size and not (linked.min() >= 1 and linked.max() <= n):
        raise ValueError(f"pairs must name labels from 1 to n={n}, got {linked.min()} to {linked.max()}")
    ends = linked.astype(np.int64).T  # N 2 -> 2 N
    graph = sparse.coo_array((np.ones(len(linked)), (ends[0], ends[1])), shape=(n + 1, n + 1))
    count, component = csgraph.connected_components(graph, directed=False)
    first = np.full(count, n + 1)
    np.minimum.at(first, component, np.arange(n + 1))
    order = np.empty(count, dtype=smallest_dtype(count - 1))
    order[np.argsort(first)] = np.arange(count)  # the background, alone and first, stays 0
    return order[component]


def join_flags(flags: Any, table: Any) -> NDArray[np.bool_]:
    """What holds for a joined object when it holds for one of its parts.

    Args:
        flags: n + 1 booleans, one per label.
        table: n + 1 new labels, from `join`.

    Returns:
        m + 1 booleans, one per new label.

    Raises:
        ValueError: when the two are not of the same length.
    """
    held, new = np.asarray(flags, dtype=bool), np.asarray(table)
    check_same_shape(held.shape, new.shape, "flags")
    joined = np.zeros(int(new.max(initial=0)) + 1, dtype=bool)
    joined[new[held]] = True
    return joined


def _face(face: Any, name: str) -> Array:
    array = np.asarray(face)
    if array.dtype.kind not in "biu":
        raise TypeError(f"{name} must hold whole numbers, got {array.dtype}")
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must be a plane H W of a volume D H W (or a line W of H W), got shape {array.shape}")
    return array
