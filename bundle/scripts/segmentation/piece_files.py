"""What the blocks of a run have found, from the files that they left in its folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from ..blockwise import RunFolder
from .block_grid import Block
from .inputs import Array
from .object_job import LINKS, PIECES, block_of
from .pieces import Pieces, from_bytes, stack_tables, table_of
from .region_graph import RegionGraph, merge_region_graphs


def gather_pieces(
    folder: RunFolder, blocks: Sequence[Block], shares_ids: bool
) -> tuple[Pieces, dict[Block, Array], dict[Block, int]]:
    """Gather the pieces of all blocks.

    Args:
        folder: of the run.
        blocks: which, in the order in which their pieces are numbered.
        shares_ids: whether blocks speak of the same ids.

    Returns:
        all pieces with their numbers in the volume; each block's own numbers, where it has any; and how many of them
        are of objects.
    """
    files = {block_of(name): content for name, content in folder.read_all(f"{PIECES}/").items()}
    found = {block: from_bytes(files[block]) for block in blocks}
    counts = {block: arrays["ids"] for block, arrays in found.items() if len(arrays["ids"])}
    offsets = {} if shares_ids else offsets_of(counts)
    tables = [
        dataclasses.replace(table_of(found[block]), ids=ids + np.uint64(offsets.get(block, 0)))
        for block, ids in counts.items()
    ]
    strong, values = (_joined_up([found[block].get(name) for block in counts]) for name in ("strong", "values"))
    n_objects = {block: int(found[block].get("n_objects", len(ids))) for block, ids in counts.items()}
    return Pieces(stack_tables(tables), strong, values), counts, n_objects


def gather_links(folder: RunFolder, pieces: Pieces) -> None:
    """Add to the pieces what links them."""
    files = [from_bytes(content) for content in folder.read_all(f"{LINKS}/").values()]
    for name in ("pairs", "contacts"):
        found = [arrays[name] for arrays in files if name in arrays]
        setattr(pieces, name, np.concatenate([getattr(pieces, name), *found]))
    graphs = [RegionGraph.from_arrays(arrays) for arrays in files if "edges" in arrays]
    if graphs:
        pieces.graph = merge_region_graphs(graphs)


def offsets_of(counts: Mapping[Block, Array]) -> dict[Block, int]:
    """What makes the pieces of each block, numbered from 1 there, those of the volume."""
    offsets, total = {}, 0
    for block, ids in counts.items():
        offsets[block] = total
        total += len(ids)
    return offsets


def _joined_up(parts: Sequence[Array | None]) -> Array | None:
    """What is known of the pieces of all blocks; `None` where it is not known of some."""
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if known and len(known) == len(parts) else None
