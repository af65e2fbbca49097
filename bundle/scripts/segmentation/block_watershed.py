"""Seeded watershed of volumes of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .block_grid import Slices
from .inputs import Array
from .pieces import BlockPieces, Pieces
from .segmenter import Arrays, MaskedSegmenter
from .watershed import seeded_watershed


@dataclass(frozen=True)
class Watershed(MaskedSegmenter):
    """Flood from seeds whose ids are those of the whole volume.

    Equal to flooding the whole volume where every connected part of the mask that reaches into a block ends within the
    halo; elsewhere floods that come from farther away are missing.

    Args:
        landscape: input that is low inside objects, such as a boundary prediction.
        seeds: input of ids.
        inverted: whether the landscape is high inside objects, such as a distance.
        connectivity_of_flood: 1, 2 or 3.
        mask, mask_above, halo_length: see `MaskedSegmenter`; the halo is at least the radius of the largest object.
    """

    landscape: str = "boundary"
    seeds: str = "seeds"
    inverted: bool = False
    connectivity_of_flood: int = 1

    shares_ids = True

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in (self.landscape, self.seeds, self.mask) if name is not None)

    def label(self, arrays: Arrays, spacing: Sequence[float], own: Slices) -> BlockPieces:
        heights = arrays[self.landscape][0]
        flooded = seeded_watershed(
            -heights if self.inverted else heights,
            arrays[self.seeds][0],
            self.inside(arrays),
            self.connectivity_of_flood,
        )
        return BlockPieces(flooded[own])

    def solve(self, pieces: Pieces) -> dict[str, Array]:
        return {"objects": pieces.table.ids}
