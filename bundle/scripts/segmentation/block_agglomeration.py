"""Agglomeration of fragments in volumes of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from .affinities import affinities_to_boundary, boundary_to_affinities, direct_offsets
from .agglomeration import absorb_small, agglomerate
from .block_grid import Slices
from .fragments import watershed_fragments
from .inputs import Array
from .mutex import mutex_watershed
from .pieces import BlockPieces, Pieces
from .region_graph import RegionGraph, build_region_graph
from .relabelling import look_up, relabel_sequential
from .segmenter import Arrays, MaskedSegmenter


@dataclass(frozen=True)
class Agglomerated(MaskedSegmenter):
    """Fragments of a boundary map, merged where the boundary between them is weak, across blocks as within them.

    Fragments are those of a watershed, or of the mutex watershed, which needs affinities and the extra `instances`.
    The graph of the whole volume is agglomerated at once.

    Args:
        thresholds: boundary strengths up to which fragments merge; each gives a segmentation.
        boundary: input, probability of a boundary; or
        affinities: input with one channel per offset.
        offsets: of the affinities, steps along z, y, x.
        fragments: `watershed` or `mutex`.
        level, sigma, min_distance, per_slice: of the watershed; see `watershed_fragments`.
        quantile: of the boundary's voxels that scores it; `None`: their mean.
        min_size: voxels; smaller objects are merged into the neighbour across their weakest boundary.
        mask, mask_above, halo_length: see `MaskedSegmenter`.
    """

    thresholds: Sequence[float] = (0.5,)
    boundary: str | None = None
    affinities: str | None = None
    offsets: Sequence[Sequence[int]] | None = None
    fragments: str = "watershed"
    level: float = 0.5
    sigma: float = 0.0
    min_distance: float = 0.0
    per_slice: bool = False
    quantile: float | None = None
    min_size: int = 0

    reach = 1  # edges to direct neighbours only link fragments

    def __post_init__(self) -> None:
        if (self.boundary is None) == (self.affinities is None):
            raise ValueError(f"give boundary or affinities; got {self.boundary!r} and {self.affinities!r}")
        if self.affinities is not None and self.offsets is None:
            raise ValueError("affinities need offsets, one per channel, such as [[1, 0, 0], [0, 1, 0], [0, 0, 1]]")
        if self.fragments not in ("watershed", "mutex"):
            raise ValueError(f"fragments must be watershed or mutex, got {self.fragments!r}")
        if self.fragments == "mutex" and self.affinities is None:
            raise ValueError("fragments = mutex needs affinities, some of them of long range")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in (self.boundary, self.affinities, self.mask) if name is not None)

    def label(self, arrays: Arrays, spacing: Sequence[float], own: Slices) -> BlockPieces:
        inside = self.inside(arrays)
        if self.fragments == "mutex":
            found, _ = mutex_watershed(self._probability(arrays, self.affinities), self.offsets or (), mask=inside)
        else:
            found, _ = watershed_fragments(
                self._boundary(arrays), spacing, level=self.level, sigma=self.sigma,
                min_distance=self.min_distance, mask=inside, per_slice=self.per_slice,
            )  # fmt: skip
        return BlockPieces(relabel_sequential(found[own])[0])

    def graph(self, pieces: Array, arrays: Arrays, own: Slices) -> RegionGraph:
        build = partial(build_region_graph, pieces, own=own, histogram=self.quantile is not None)
        if self.boundary is not None:
            return build(boundary_to_affinities(self._probability(arrays, self.boundary)[0]), direct_offsets())
        direct = [k for k, offset in enumerate(self.offsets or ()) if sum(map(abs, offset)) == 1]
        if any(step < 0 for k in direct for step in (self.offsets or ())[k]):
            raise ValueError(f"offsets to direct neighbours must lead upwards, such as [1, 0, 0]; got {self.offsets}")
        affinities = self._probability(arrays, self.affinities)[direct]
        return build(affinities, [(self.offsets or ())[k] for k in direct])

    def solve(self, pieces: Pieces) -> dict[str, Array]:
        graph, ids = pieces.graph, pieces.table.ids
        if graph is None:
            raise ValueError("there is no graph of the fragments")
        merged = agglomerate(graph, self.thresholds, quantile=self.quantile)
        found = {}
        for strength, segments in zip(merged.thresholds, merged.segments, strict=True):
            objects = look_up(ids, merged.fragments, segments)
            if self.min_size:
                objects = absorb_small(graph, ids, objects, pieces.table.sizes, self.min_size, quantile=self.quantile)
            found["objects" if len(merged.thresholds) == 1 else f"objects_{strength:g}"] = objects
        return found

    def _boundary(self, arrays: Arrays) -> Array:
        if self.boundary is not None:
            return self._probability(arrays, self.boundary)[0]
        return affinities_to_boundary(
            self._probability(arrays, self.affinities), self.offsets or (), per_slice=self.per_slice
        )

    def _probability(self, arrays: Arrays, name: str | None) -> Array:
        return np.clip(arrays[str(name)], 0, 1)  # networks without a last activation leave the range a little
