"""Seeded watershed of volumes of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .block_grid import Slices
from .inputs import Array
from .pieces import BlockPieces, Pieces
from .segmenter import Arrays, Segmenter, voxels_of
from .watershed import seeded_watershed


@dataclass(frozen=True)
class Watershed(Segmenter):
    """Flood from seeds whose ids are those of the whole volume.

    Equal to flooding the whole volume where every connected part of the mask that reaches into a block ends within the
    halo; elsewhere floods that come from farther away are missing.

    Args:
        landscape: input that is low inside objects, such as a boundary prediction.
        seeds: input of ids.
        mask: input that is above `mask_above` where objects may be; `None`: everywhere.
        mask_above: that limit.
        inverted: whether the landscape is high inside objects, such as a distance.
        halo_length: physical length, at least the radius of the largest object.
        connectivity_of_flood: 1, 2 or 3.
    """

    landscape: str = "boundary"
    seeds: str = "seeds"
    mask: str | None = None
    mask_above: float = 0.5
    inverted: bool = False
    halo_length: float = 0.0
    connectivity_of_flood: int = 1

    shares_ids = True

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in (self.landscape, self.seeds, self.mask) if name is not None)

    @property
    def where(self) -> str | None:
        return self.mask if self.mask_above >= 0 else None

    def halo(self, spacing: Sequence[float]) -> tuple[int, int, int]:
        return voxels_of(self.halo_length, spacing)

    def label(self, arrays: Arrays, spacing: Sequence[float], own: Slices) -> BlockPieces:
        heights = arrays[self.landscape][0]
        inside = None if self.mask is None else arrays[self.mask][0] > self.mask_above
        flooded = seeded_watershed(
            -heights if self.inverted else heights, arrays[self.seeds][0], inside, self.connectivity_of_flood
        )
        return BlockPieces(flooded[own])

    def solve(self, pieces: Pieces) -> dict[str, Array]:
        return {"objects": pieces.table.ids}
