"""Pieces: what each block of a volume finds by itself, and what is known of them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .inputs import Array
from .objects import ObjectTable, merge_tables, object_table
from .region_graph import RegionGraph
from .relabelling import smallest_dtype


@dataclass(frozen=True)
class BlockPieces:
    """The pieces of one block.

    Args:
        labels: D H W of the block, 0 = nothing.
        strong: per piece whether it holds a voxel that makes an object strong; piece i of the ascending ids.
        values: per piece the id that all its voxels hold in the input.
    """

    labels: Array
    strong: NDArray[np.bool_] | None = None
    values: NDArray[np.uint64] | None = None


@dataclass
class Pieces:
    """All pieces of a volume, block after block.

    Args:
        table: ids are those of the volume; N rows. Where blocks share ids, an id has a row for each of its blocks.
        strong: N; see `BlockPieces`.
        values: N.
        pairs: M 2 ids that touch across a face between blocks.
        graph: of the pieces that touch.
        contacts: K 2: a piece, and an object that it touches.
    """

    table: ObjectTable
    strong: NDArray[np.bool_] | None = None
    values: NDArray[np.uint64] | None = None
    pairs: NDArray[np.uint64] = field(default_factory=lambda: np.zeros((0, 2), np.uint64))
    graph: RegionGraph | None = None
    contacts: NDArray[np.uint64] = field(default_factory=lambda: np.zeros((0, 2), np.uint64))


def table_arrays(table: ObjectTable) -> dict[str, Array]:
    """A table as plain arrays by name."""
    return {entry.name: getattr(table, entry.name) for entry in fields(table)}


def table_of(arrays: Mapping[str, Array]) -> ObjectTable:
    """The table that `table_arrays` took apart."""
    return ObjectTable(**{entry.name: arrays[entry.name] for entry in fields(ObjectTable)})


def stack_tables(tables: Sequence[ObjectTable]) -> ObjectTable:
    """Tables below each other; ids may repeat."""
    names = [entry.name for entry in fields(ObjectTable)]
    if not tables:
        return object_table(np.zeros((1, 1, 1), np.uint8))
    return ObjectTable(*(np.concatenate([getattr(table, name) for table in tables]) for name in names))


def table_rows(table: ObjectTable, rows: Array, ids: Array) -> ObjectTable:
    """Some rows of a table, with other ids."""
    return ObjectTable(
        ids.astype(np.uint64), table.sizes[rows], table.starts[rows], table.stops[rows], table.touches_border[rows]
    )


def number_objects(
    table: ObjectTable, objects: Array, choose: Callable[[ObjectTable], Array]
) -> tuple[Array, ObjectTable]:
    """Number the objects that stay, in the order of their ids.

    Args:
        table: of the pieces, N rows.
        objects: N ids of the objects that they belong to; 0 = none.
        choose: given the table of the objects, ids of those that stay, ascending.

    Returns:
        N numbers 1..n, 0 = none, in the smallest unsigned dtype that holds n; and the table of the n objects.
    """
    rows = np.flatnonzero(objects)
    merged = merge_tables([table_rows(table, rows, objects[rows])])
    kept = choose(merged)
    numbers = np.zeros(len(objects), smallest_dtype(len(kept)))
    if len(kept):
        place = np.minimum(np.searchsorted(kept, objects), len(kept) - 1)
        numbers = np.where(kept[place] == objects, place + 1, 0).astype(numbers.dtype)
    chosen = np.flatnonzero(np.isin(merged.ids, kept))
    return numbers, table_rows(merged, chosen, np.arange(1, len(kept) + 1, dtype=np.uint64))


def table_csv(table: ObjectTable, spacing: Sequence[float]) -> bytes:
    """A table as the content of a CSV file."""
    text, volume = io.StringIO(), math.prod(spacing)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["id", "voxels", "volume", *(f"{axis}_{end}" for end in ("start", "stop") for axis in "zyx"), "touches_border"]
    )
    for i in range(len(table)):
        size = int(table.sizes[i])
        box = [*table.starts[i].tolist(), *table.stops[i].tolist()]
        writer.writerow([int(table.ids[i]), size, f"{size * volume:.6g}", *box, int(table.touches_border[i])])
    return text.getvalue().encode()


def to_bytes(arrays: Mapping[str, Any]) -> bytes:
    """Arrays by name as the content of a file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(arrays))
    return buffer.getvalue()


def from_bytes(content: bytes) -> dict[str, Array]:
    """The arrays that `to_bytes` packed."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return dict(archive)
