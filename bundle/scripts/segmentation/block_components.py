"""Connected components of volumes of any size: of thresholds, of ids, of what a function of your own finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .block_grid import Slices
from .inputs import Array
from .labelling import label_components
from .pieces import BlockPieces, Pieces
from .segmenter import Arrays, Segmenter, voxels_of
from .thresholds import hysteresis_components, threshold
from .union import join, join_flags


@dataclass(frozen=True)
class Components(Segmenter):
    """Connected components; those of the whole volume, exactly.

    Args:
        source: input of one channel.
        above, below: limits of the foreground, themselves outside; neither: the input holds ids, each with its own
            components.
        strong_above: a component stays if it holds a voxel above this (hysteresis); `None`: all do.
        connectivity: 1, 2 or 3: 6, 18 or 26 neighbours.
        channel: of the input.
    """

    source: str = "foreground"
    above: float | None = None
    below: float | None = None
    strong_above: float | None = None
    connectivity: int = 1
    channel: int = 0

    def __post_init__(self) -> None:
        if self.connectivity not in (1, 2, 3):
            raise ValueError(f"connectivity must be 1, 2 or 3 (6, 18 or 26 neighbours), got {self.connectivity!r}")
        if self.strong_above is not None and (self.above is None or self.below is not None):
            raise ValueError(
                f"strong_above = {self.strong_above} needs above, the lower of the two limits, and no below; got "
                f"above = {self.above}, below = {self.below}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        return (self.source,)

    @property
    def where(self) -> str | None:
        has_foreground = (self.above is None or self.above >= 0) and (self.below is None or self.below <= 0)
        return self.source if has_foreground else None

    def label(self, arrays: Arrays, spacing: Sequence[float], own: Slices) -> BlockPieces:
        values = arrays[self.source][self.channel]
        if self.above is None and self.below is None:
            labels, n = label_components(values, self.connectivity)
            ids = np.zeros(n + 1, np.uint64)
            ids[labels.ravel()] = values.ravel()
            return BlockPieces(labels, values=ids[1:])
        if self.strong_above is not None and self.above is not None:
            labels, strong = hysteresis_components(values, self.above, self.strong_above, self.connectivity)
            return BlockPieces(labels, strong=strong[1:])
        return BlockPieces(label_components(threshold(values, self.above, self.below), self.connectivity)[0])

    def solve(self, pieces: Pieces) -> dict[str, Array]:
        return {"objects": joined(pieces)}


@dataclass(frozen=True)
class BlockFunction(Segmenter):
    """A function of your own, block by block.

    Args:
        function: `(arrays, spacing) -> D H W`, where `arrays` is input name -> C D H W: a mask, or classes, of which
            each gets its own components.
        inputs: their names.
        halo_length: physical length around a block that the function sees.
        connectivity: 1, 2 or 3: how voxels of an object touch.
    """

    function: Callable[[Arrays, Sequence[float]], Array] | None = None
    inputs: Sequence[str] = ()
    halo_length: float = 0.0
    connectivity: int = 1

    def __post_init__(self) -> None:
        if not callable(self.function) or not self.inputs:
            raise ValueError(f"give a function, and the inputs that it reads; got {self.function!r}, {self.inputs!r}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.inputs)

    def halo(self, spacing: Sequence[float]) -> tuple[int, int, int]:
        return voxels_of(self.halo_length, spacing)

    def label(self, arrays: Arrays, spacing: Sequence[float], own: Slices) -> BlockPieces:
        found = np.asarray(self.function(arrays, spacing))  # type: ignore[misc]
        shape = next(iter(arrays.values())).shape[1:]
        if found.shape != shape:
            raise ValueError(f"the function was given blocks of {shape} voxels and returned {found.shape}")
        labels, n = label_components(found[own], self.connectivity)
        ids = np.zeros(n + 1, np.uint64)
        ids[labels.ravel()] = found[own].ravel()
        return BlockPieces(labels, values=ids[1:])

    def solve(self, pieces: Pieces) -> dict[str, Array]:
        return {"objects": joined(pieces)}


def joined(pieces: Pieces) -> Array:
    """Object of each piece, where pieces that touch across blocks are one; those that are not strong are none.

    Pieces of other values stay apart.
    """
    pairs, n = pieces.pairs, len(pieces.table)
    if pieces.values is not None:
        ends = pairs.astype(np.int64) - 1
        pairs = pairs[pieces.values[ends[:, 0]] == pieces.values[ends[:, 1]]]
    table = join(pairs, n)
    objects = table[1:].astype(np.uint64)
    if pieces.strong is not None:
        objects[~join_flags(np.concatenate([[False], pieces.strong]), table)[table[1:]]] = 0
    return objects
