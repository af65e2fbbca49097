"""Holes of objects that are found block by block: the background has pieces, too."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from .holes import holes_to_fill
from .inputs import Array
from .labelling import label_components
from .objects import merge_tables
from .pieces import BlockPieces, Pieces, table_rows
from .union import join

CONNECTIVITY = 1
"""Of the background: through faces."""

_NO_OBJECT = np.uint64(2**64 - 1)


def with_background(pieces: BlockPieces) -> tuple[BlockPieces, int]:
    """Number the pieces of the background after those of the objects.

    Args:
        pieces: of a block, numbered 1..n.

    Returns:
        the pieces of both; and n.
    """
    n = int(pieces.labels.max(initial=0))
    background, m = label_components(pieces.labels == 0, CONNECTIVITY)
    labels = np.where(pieces.labels > 0, pieces.labels.astype(np.int64), background.astype(np.int64) + n)
    strong = None if pieces.strong is None else np.concatenate([pieces.strong, np.zeros(m, bool)])
    values = None if pieces.values is None else np.concatenate([pieces.values, np.zeros(m, np.uint64)])
    return dataclasses.replace(pieces, labels=labels, strong=strong, values=values), n


def filled(pieces: Pieces, objects: Array, is_background: NDArray[np.bool_], max_size: float) -> Array:
    """Objects of all pieces, where those of holes belong to the object around them.

    Args:
        pieces: of objects and of the background.
        objects: object of each piece; what it says of the background does not count.
        is_background: per piece.
        max_size: voxels that a hole may have.
    """
    result = np.where(is_background, np.uint64(0), objects)
    rows = np.flatnonzero(is_background)
    if not len(rows):
        return result
    of_background = is_background[pieces.pairs[:, 0].astype(np.int64) - 1]
    component = join(pieces.pairs[of_background], len(pieces.table))[1:].astype(np.uint64)  # of each piece
    table = merge_tables([table_rows(pieces.table, rows, component[rows])])
    hole, around = (pieces.contacts[:, column].astype(np.int64) - 1 for column in (0, 1))
    neighbour = np.where(result[around] > 0, result[around], _NO_OBJECT)  # a piece that was dropped is background
    pairs = np.unique(np.stack([component[hole], neighbour], axis=1), axis=0)
    holes, owners = holes_to_fill(table, pairs, int(max_size))
    known = owners != _NO_OBJECT
    holes, owners = holes[known], owners[known]
    if len(holes):
        place = np.minimum(np.searchsorted(holes, component), len(holes) - 1)
        is_hole = is_background & (holes[place] == component)
        result[is_hole] = owners[place[is_hole]]
    return result
