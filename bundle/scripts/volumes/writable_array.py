"""One zarr array that is being written, box by box, from any number of threads and processes."""

from __future__ import annotations

import logging
import os
from typing import Any, TypeAlias

import numpy as np
import tensorstore
import zarr

from .errors import RemoteError
from .paths import is_url
from .stores import open_store
from .tensorstore_source import local_spec, may_use_tensorstore
from .volume import open_volume

logger = logging.getLogger(__name__)

Box = tuple[slice, slice, slice]
Handle: TypeAlias = "tensorstore.TensorStore | zarr.Array[Any]"

_CONTEXT = {"file_io_sync": False}
"""Chunks outlive the process, but perhaps not the machine, as those of zarr-python; to wait for the disk takes long."""


class WritableArray:
    """An array that is written and read back; it is opened when it is first needed, in every process anew.

    tensorstore writes into local folders, several times as fast as zarr-python, which writes to URLs, with codecs that
    tensorstore does not know, in the child of a fork (see `TensorStoreSource`), and where tensorstore fails. The two
    compress the same voxels to other bytes. A chunk is there as a whole or not at all, whenever the process ends, and
    one that holds only the fill value is not stored.

    Args:
        path: folder or URL of the array, which exists; its axes are c z y x, or z y x for a single channel.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._handle: Handle | None = None
        self._handle_owner = -1

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_handle": None}

    def read(self, box: Box, channels: slice) -> np.ndarray:
        """Read a box C D H W as it is stored now, past the chunk cache.

        Args:
            box: along z, y, x.
            channels: which ones.

        Raises:
            CorruptChunkError: that names the chunk which cannot be read.
            RemoteError: for a server that does not answer.
        """
        try:
            handle = self._open()
            part = handle[_selection(handle, box, channels)]
            block = part.read().result() if isinstance(part, tensorstore.TensorStore) else np.asarray(part)
        except (MemoryError, RemoteError):
            raise
        except Exception:
            block = open_volume(self.path).read([s.start for s in box], [s.stop - s.start for s in box])[channels]
        return block if block.ndim == 4 else block[None]  # D H W -> C D H W

    def write(self, box: Box, array: np.ndarray) -> None:
        """Write a box of all channels; several threads may, where their boxes share no chunk (shard).

        Args:
            box: along z, y, x.
            array: C D H W.

        Raises:
            RemoteError: for a server that does not take it.
            OSError: where the system refuses, such as for a disk that is full; `errno` is the system's.
        """
        try:
            handle = self._open()
            try:
                _assign(handle, box, array)
            except Exception as error:
                if isinstance(handle, zarr.Array):
                    raise
                fallback = _open_array(self.path)
                _assign(fallback, box, array)  # which otherwise says better than tensorstore what is wrong
                self._handle = fallback
                self._report_fallback(error)
        except OSError as error:
            if error.errno is None or isinstance(error, RemoteError):
                raise
            voxels = ", ".join(f"{part.start}:{part.stop}" for part in box)
            reason = f"the voxels [{voxels}] cannot be written: {error.strerror or error}"
            raise OSError(error.errno, f"{self.path}: {reason}. What was written before is whole") from error

    def _open(self) -> Handle:
        handle = self._handle
        if handle is None or self._handle_owner != os.getpid():
            array = _open_array(self.path)
            handle = array if is_url(self.path) or not may_use_tensorstore(handle) else self._open_tensorstore(array)
            self._handle, self._handle_owner = handle, os.getpid()
        return handle

    def _open_tensorstore(self, array: zarr.Array[Any]) -> Handle:
        spec = local_spec(self.path, array) | {"context": _CONTEXT}
        try:
            return tensorstore.open(spec, open=True, read=True, write=True).result()
        except Exception as error:
            self._report_fallback(error)
            return array

    def _report_fallback(self, error: Exception) -> None:
        reason = " ".join(str(error).split())
        logger.info("%s: zarr-python writes the voxels, since tensorstore cannot: %s", self.path, reason)


def _open_array(path: str) -> zarr.Array[Any]:
    array = zarr.open_array(open_store(path, read_only=False), mode="r+")
    return array.with_config({"write_empty_chunks": False})


def _assign(handle: Handle, box: Box, array: np.ndarray) -> None:
    selection = _selection(handle, box, slice(0, len(array)))
    values = array if handle.ndim == 4 else array[0]  # C D H W -> D H W
    if isinstance(handle, zarr.Array):
        handle[selection] = values
    else:
        handle[selection].write(values.astype(handle.dtype.numpy_dtype, copy=False)).result()


def _selection(handle: Handle, box: Box, channels: slice) -> tuple[slice, ...]:
    return (channels, *box) if handle.ndim == 4 else box
