"""What is done with one block on the way to objects: find pieces, link them to those of its neighbours, write."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..blockwise import RunFolder
from ..volumes import OmeZarrWriter, Volume, open_volume
from ..volumes.memory import give_back_memory
from .block_grid import Block, BlockGrid, Slices, within
from .block_holes import CONNECTIVITY, with_background
from .holes import contacts
from .inputs import Array
from .objects import object_table
from .pieces import BlockPieces, from_bytes, table_arrays, to_bytes
from .relabelling import relabel
from .segmenter import Segmenter
from .union import face_pairs

PIECES, LINKS, MAPS, DONE = "pieces", "links", "maps", "done"
"""Files of a run's folder, one per block."""


@dataclass
class ObjectJob:
    """All that is needed to work on any block, in this process or in another.

    What a step finds goes to the run's folder, so that a step that is done is never done again.

    Args:
        inputs: of the segmenter, on one grid.
        segmenter: what finds objects.
        grid: the blocks.
        folder: of the run.
        writer: of the pieces of all blocks.
        offsets: what is added to the numbers of a block's pieces to make them those of the volume.
        outputs: of the segmentations.
        has_background: whether the background has pieces, too, after those of the objects.
        n_objects: how many pieces of each block are of objects, where the background has pieces.
    """

    inputs: Mapping[str, Volume]
    segmenter: Segmenter
    grid: BlockGrid
    folder: RunFolder
    writer: OmeZarrWriter
    offsets: Mapping[Block, int] = field(default_factory=dict)
    outputs: Mapping[str, OmeZarrWriter] = field(default_factory=dict)
    has_background: bool = False
    n_objects: Mapping[Block, int] = field(default_factory=dict)

    def prepared(self, worker: int = 0) -> contextlib.AbstractContextManager[None]:
        """Nothing needs to be prepared."""
        return contextlib.nullcontext()

    def label(self, block: Block) -> None:
        """Find the pieces of a block."""
        halo = self.segmenter.halo(self.spacing)
        box, own = self.grid.grown(block, halo, halo)
        pieces = self.segmenter.label(self._read(box), self.spacing, own)
        known: dict[str, Any] = {}
        if self.has_background:
            pieces, known["n_objects"] = with_background(pieces)
        start = [s.start for s in self.grid.box(block)]
        table = object_table(pieces.labels, start, self.grid.shape)
        self.writer.write(start, pieces.labels[None].astype(self.writer.dtype))  # D H W -> 1 D H W
        self.folder.write(key(PIECES, block), to_bytes(table_arrays(table) | _known(pieces) | known))
        give_back_memory()

    def link(self, block: Block) -> None:
        """Find which pieces of a block touch those of others."""
        found: dict[str, Array] = {}
        if self.segmenter.connectivity or self.has_background:
            found["pairs"] = self._pairs(block)
        if self.has_background:
            box, own = self.grid.grown(block, (1, 1, 1), (1, 1, 1))
            objects, background = self._both(box)
            inside = np.zeros_like(background)
            inside[own] = background[own]
            found["contacts"] = contacts(inside, objects, CONNECTIVITY)
        if self.segmenter.reach:
            box, own = self.grid.grown(block, (0, 0, 0), (self.segmenter.reach,) * 3)
            found |= self.segmenter.graph(self._both(box)[0], self._read(box), own).to_arrays()
        self.folder.write(key(LINKS, block), to_bytes(found))
        give_back_memory()

    def write(self, block: Block) -> None:
        """Write the objects of a block."""
        box = self.grid.box(block)
        start = [s.start for s in box]
        maps = from_bytes(self.folder.read(key(MAPS, block)) or b"")
        labels = self._stored(box)
        for name, writer in self.outputs.items():
            writer.write(start, relabel(labels, maps["pieces"], maps[name])[None].astype(writer.dtype))
        self.folder.write(key(DONE, block), b"")
        give_back_memory()

    @property
    def spacing(self) -> Sequence[float]:
        return next(iter(self.inputs.values())).spacing

    def _read(self, box: Slices) -> dict[str, Array]:
        """Inputs C D H W within a box: what stands for real values as float32, ids as they are."""
        start, size = [s.start for s in box], [s.stop - s.start for s in box]
        return {name: real_values(volume, volume.read(start, size)) for name, volume in self.inputs.items()}

    def _pairs(self, block: Block) -> Array:
        """Pairs of pieces that touch across the block's upper faces."""
        own, found = self.grid.box(block), [np.zeros((0, 2), np.uint64)]
        sideways = self.segmenter.connectivity > 1
        for axis in range(3):
            if own[axis].stop == self.grid.shape[axis]:
                continue
            margin = [int(sideways and other != axis) for other in range(3)]
            box, _ = self.grid.grown(block, margin, margin)
            face = slice(own[axis].stop - 1, own[axis].stop + 1)
            z, y, x = (face if other == axis else s for other, s in enumerate(box))
            for planes, connectivity in zip(
                self._both((z, y, x)), (self.segmenter.connectivity, CONNECTIVITY), strict=True
            ):
                if connectivity:
                    low, high = np.moveaxis(planes, axis, 0)
                    found.append(face_pairs(low, high, connectivity))
        return np.unique(np.concatenate(found), axis=0)

    def _both(self, box: Slices) -> tuple[Array, Array]:
        """Pieces of objects and of the background within a box, by their numbers in the volume, each D H W uint64."""
        objects = self._stored(box).astype(np.uint64)
        background = np.zeros_like(objects)
        for block, part in self.grid.touching(box):
            here = within(part, box)
            if self.has_background:
                is_object = objects[here] <= np.uint64(self.n_objects.get(block, 0))
                background[here] = np.where(is_object, 0, objects[here])
                objects[here] = np.where(is_object, objects[here], 0)
            for pieces in (objects[here], background[here]):
                pieces[pieces > 0] += np.uint64(self.offsets.get(block, 0))
        return objects, background

    def _stored(self, box: Slices) -> Array:
        volume = open_volume(self.writer.path)
        return volume.read([s.start for s in box], [s.stop - s.start for s in box])[0]  # 1 D H W -> D H W


def real_values(volume: Volume, stored: Array) -> Array:
    """What stored numbers stand for: ids where they are whole and nothing says otherwise, else float32."""
    if volume.encoding is None and stored.dtype.kind in "biu":
        return stored
    return volume.decode(stored).astype(np.float32, copy=False)


def key(part: str, block: Block) -> str:
    """Name of a block's file."""
    return f"{part}/{'.'.join(map(str, block))}"


def block_of(name: str) -> Block:
    """The block of a file."""
    return tuple(int(n) for n in name.rpartition("/")[2].split("."))


def _known(pieces: BlockPieces) -> dict[str, Any]:
    known = {"strong": pieces.strong, "values": pieces.values}
    return {name: array for name, array in known.items() if array is not None}
