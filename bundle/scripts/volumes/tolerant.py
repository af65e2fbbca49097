"""Reading around stored chunks that are damaged."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .errors import CorruptChunkError
from .source import ArraySource, Box
from .volume import Volume


class TolerantSource(ArraySource):
    """An array whose damaged chunks read as the fill value.

    Args:
        source: the array.
        faults: takes the message of every damaged chunk, each once.
    """

    def __init__(self, source: ArraySource, faults: dict[str, None]) -> None:
        super().__init__(source.path)
        self.shape, self.dtype, self.chunks = source.shape, source.dtype, source.chunks
        self.fill_value, self.decoded = source.fill_value, source.decoded
        self._source, self._faults = source, faults

    def open_handle(self) -> Any:
        return self._source.handle

    def read(self, selection: tuple[slice, ...]) -> np.ndarray:
        try:
            return self._source.read(selection)
        except CorruptChunkError:
            return self._read_by_chunk(selection)

    def stored_boxes(self, *, inside_shards: bool = False) -> list[Box]:
        return self._source.stored_boxes(inside_shards=inside_shards)

    def signature(self) -> Iterator[str]:
        return self._source.signature()

    def _read_by_chunk(self, selection: tuple[slice, ...]) -> np.ndarray:
        block = np.full([s.stop - s.start for s in selection], self.fill_value, self.dtype)
        ranges = [range(s.start // n, -(-s.stop // n)) for s, n in zip(selection, self.chunks, strict=True)]
        for index in itertools.product(*ranges):
            part = tuple(
                slice(max(s.start, i * n), min(s.stop, i * n + n))
                for s, i, n in zip(selection, index, self.chunks, strict=True)
            )
            target = tuple(slice(p.start - s.start, p.stop - s.start) for p, s in zip(part, selection, strict=True))
            try:
                block[target] = self._source.read(part)
            except CorruptChunkError as error:
                self._faults[str(error)] = None
        return block


def read_tolerant(
    volume: Volume, start: Sequence[int], size: Sequence[int], *, fill: float = 0
) -> tuple[np.ndarray, list[str]]:
    """Read a box as `Volume.read` does, with the volume's fill value in place of chunks that are damaged.

    Of a `ResampledVolume` it is the stored chunks that are replaced, so that only voxels near them are concerned.

    Args:
        volume: what to read.
        start: first voxel along z, y, x; may be negative.
        size: D, H, W of the box, which may reach beyond the volume.
        fill: value of voxels outside the volume.

    Returns:
        The box C D H W, and for every damaged chunk that it touches a message that names store, chunk and box.

    Raises:
        ValueError: as `Volume.read`.
        RemoteError: for a server that does not answer, which says nothing about the data.
    """
    try:
        return volume.read(start, size, fill=fill), []
    except CorruptChunkError:
        faults: dict[str, None] = {}
        return tolerant_volume(volume, faults).read(start, size, fill=fill), list(faults)


def tolerant_volume(volume: Volume, faults: dict[str, None] | None = None) -> Volume:
    """The same volume, whose damaged chunks read as the fill value.

    Args:
        volume: any.
        faults: takes the message of every damaged chunk that is met, once, as its keys.
    """
    found: dict[str, None] = {} if faults is None else faults
    return volume.with_source(lambda source: TolerantSource(source, found))
