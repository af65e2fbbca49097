"""What a format must offer so that a `Volume` can be read from it."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .byte_count import ByteCount
from .grid import Grid
from .stalls import in_thread, in_time

Box = tuple[tuple[int, ...], tuple[int, ...]]
"""Start and size along some axes."""


class ArraySource(ABC):
    """One stored array, in its own axis order.

    The description (shape, type, chunks) is plain data. The handle is opened when it is first needed, and opened
    anew in every other process: it is neither pickled nor carried through a fork. A faster reader of the same store is
    another subclass.

    Attributes:
        decoded: bytes of voxels that `read` has had decoded in this process, whatever it then gave back.

    Args:
        path: the array, as its opener takes it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...]
    fill_value: Any = 0

    def __init__(self, path: str) -> None:
        self.path = path
        self.decoded = ByteCount()
        self._handle: Any = None
        self._handle_owner = -1

    @abstractmethod
    def open_handle(self) -> Any:
        """Open whatever `read` needs."""

    @abstractmethod
    def read(self, selection: tuple[slice, ...]) -> np.ndarray:
        """Read a box inside the array; axes as stored, native byte order.

        Raises:
            CorruptChunkError: that names the chunk which cannot be read.
        """

    @abstractmethod
    def stored_boxes(self, *, inside_shards: bool = False) -> list[Box]:
        """Boxes along the stored axes, not clipped to the shape, of which the store holds data.

        Args:
            inside_shards: where chunks are packed into larger files, list those chunks.
        """

    @abstractmethod
    def signature(self) -> Iterator[str]:
        """Lines that differ when the stored metadata or voxels differ, found without reading voxels."""

    @property
    def handle(self) -> Any:
        """The open store of this process."""
        if self._handle is None or self._handle_owner != os.getpid():
            self._handle, self._handle_owner = self.open_handle(), os.getpid()
        return self._handle

    def touched_bytes(self, selection: tuple[slice, ...]) -> int:
        """Bytes of the chunks that a box touches, as far as they lie inside of the array."""
        extents = (
            min(-(-s.stop // n) * n, size) - s.start // n * n
            for s, n, size in zip(selection, self.chunks, self.shape, strict=True)
        )
        return int(math.prod(extents) * self.dtype.itemsize)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_handle": None}


class FileSource(ArraySource):
    """An array that is one file: stored as a whole, or not at all. A subclass reads boxes by `read_box`."""

    @abstractmethod
    def read_box(self, selection: tuple[slice, ...]) -> np.ndarray:
        """Read a box; see `read`."""

    def read(self, selection: tuple[slice, ...]) -> np.ndarray:
        """Read a box, and do not wait for ever.

        Raises:
            CorruptChunkError: for a file that is damaged.
            StalledError: where the file system does not answer.
            OSError: where it refuses, such as for a file that is gone.
        """

        what = f"{self.path}: {box_name(selection)}"
        return in_time(what, in_thread(lambda: self.read_box(selection)), self.touched_bytes(selection))

    def stored_boxes(self, *, inside_shards: bool = False) -> list[Box]:
        """One box: the whole array."""
        return [((0,) * len(self.shape), self.shape)]

    def signature(self) -> Iterator[str]:
        """Size and time of change of the file."""
        status = Path(self.path).stat()
        yield f"{self.shape} {self.dtype} {status.st_size} {status.st_mtime_ns}"


def box_name(selection: tuple[slice, ...]) -> str:
    """A box along the stored axes, for messages."""
    return f"stored voxels [{', '.join(f'{part.start}:{part.stop}' for part in selection)}]"


@dataclass(frozen=True)
class OpenedArray:
    """What a format's opener found.

    Args:
        source: the array.
        axes: letters of `tczyx` per stored axis; `None` where the store names no axes.
        grid: geometry, `None` where the store states none.
        attributes: everything else that the store says.
    """

    source: ArraySource
    axes: str | None = None
    grid: Grid | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
