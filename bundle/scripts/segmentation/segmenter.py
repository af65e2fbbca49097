"""What finds objects in the blocks of a volume, and says which of them are one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .block_grid import Slices
from .inputs import Array
from .pieces import BlockPieces, Pieces
from .region_graph import RegionGraph

Arrays = Mapping[str, Array]
"""Input name -> C D H W of a block with its surroundings: real values as float32, ids as they are stored."""


@dataclass(frozen=True)
class Segmenter(ABC):
    """Finds pieces block by block, and says which of them are one object.

    Attributes:
        connectivity: how pieces of neighbouring blocks touch; 0: they are not looked at.
        reach: voxels beyond the block that `graph` needs at the upper side of each axis; 0: there is no graph.
        shares_ids: whether blocks speak of the same ids, so that an id means one object everywhere.
    """

    connectivity = 0
    reach = 0
    shares_ids = False

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Inputs that are read."""

    @property
    def where(self) -> str | None:
        """The input that holds nothing but background where nothing is stored; `None`: there is none."""
        return None

    def halo(self, spacing: Sequence[float]) -> tuple[int, int, int]:
        """Voxels around a block that `label` needs."""
        return (0, 0, 0)

    @abstractmethod
    def label(self, arrays: Arrays, spacing: Sequence[float], own: Slices) -> BlockPieces:
        """The pieces of a block; `own` is the block among the voxels of the arrays."""

    def graph(self, pieces: Array, arrays: Arrays, own: Slices) -> RegionGraph:
        """Graph of the pieces D H W, with those of the next blocks."""
        raise TypeError(f"{type(self).__name__} has no graph")

    @abstractmethod
    def solve(self, pieces: Pieces) -> dict[str, Array]:
        """Object of each piece (0: none), by name of the segmentation."""


@dataclass(frozen=True, kw_only=True)
class MaskedSegmenter(Segmenter):
    """Looks for objects within a mask, in blocks with what is around them.

    Args:
        mask: input that is above `mask_above` where objects may be; `None`: everywhere.
        mask_above: that limit.
        halo_length: physical length around a block that is looked at with it.
    """

    mask: str | None = None
    mask_above: float = 0.5
    halo_length: float = 0.0

    @property
    def where(self) -> str | None:
        return self.mask if self.mask_above >= 0 else None

    def halo(self, spacing: Sequence[float]) -> tuple[int, int, int]:
        return voxels_of(self.halo_length, spacing)

    def inside(self, arrays: Arrays) -> Array | None:
        """Where objects may be, D H W boolean; `None`: everywhere."""
        return None if self.mask is None else arrays[self.mask][0] > self.mask_above


def voxels_of(length: float, spacing: Sequence[float]) -> tuple[int, int, int]:
    """Whole voxels along z, y, x that a physical length reaches into."""
    z, y, x = (int(np.ceil(length / step - 1e-9)) for step in spacing)
    return z, y, x
