"""Local zarr arrays whose voxels tensorstore decodes, which is several times faster than zarr-python."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore
import zarr

from .chunk_cache import Selection
from .paths import is_url
from .stalls import in_time
from .zarr_source import ZarrSource

logger = logging.getLogger(__name__)

_DRIVERS = {2: "zarr", 3: "zarr3"}

_OTHER_THREADS = {"file_io_concurrency": {"limit": 4}}
"""Threads of its own for a handle, when those that all share may be waiting for a file system."""

_owner: int | None = None
"""The process in which tensorstore's threads run; they do not survive a fork."""

_inherited: list[Any] = []
"""What a forked child must not free."""


class TensorStoreSource(ZarrSource):
    """One zarr array in a local folder.

    zarr-python reads the metadata, and the voxels of what tensorstore cannot open: codecs or types that it does not
    know. A child of a fork also reads with zarr-python, since tensorstore ends a process that uses it on both sides.

    Args:
        path: folder of the array itself.
        array: the array where it is open already.
    """

    def __init__(self, path: str, array: zarr.Array[Any] | None = None) -> None:
        super().__init__(path, array)
        self._handle = None  # that of `ZarrSource`; tensorstore starts in the process that reads

    def open_handle(self) -> tensorstore.TensorStore | zarr.Array[Any]:
        array = self.open_array()
        if not may_use_tensorstore(self._handle):
            return array
        try:
            return self._open_tensorstore(array)
        except Exception as error:
            reason = " ".join(str(error).split())
            logger.info("%s: zarr-python reads the voxels, since tensorstore cannot: %s", self.path, reason)
            return array

    def read_boxes(self, selections: list[Selection]) -> list[np.ndarray]:
        if isinstance(self.handle, zarr.Array):
            return super().read_boxes(selections)
        return in_time(
            self.path, lambda seconds: self._results(selections, seconds), sum(map(self.touched_bytes, selections))
        )

    def _read(self, selection: Selection) -> np.ndarray:
        if isinstance(self.handle, zarr.Array):
            return super()._read(selection)
        return self.read_boxes([selection])[0]

    def _results(self, selections: list[Selection], seconds: float) -> list[np.ndarray]:
        handle, end = self.handle, time.monotonic() + seconds
        futures = [handle[selection].read() for selection in selections]
        try:
            return [future.result(timeout=max(end - time.monotonic(), 0)) for future in futures]
        except TimeoutError:
            # the same chunk, read by the same handle, would wait for the read that does not come back
            self._handle = self._open_tensorstore(self.open_array(), tensorstore.Context(_OTHER_THREADS))
            raise

    def _open_tensorstore(
        self, array: zarr.Array[Any], context: tensorstore.Context | None = None
    ) -> tensorstore.TensorStore:
        store = tensorstore.open(local_spec(self.path, array), open=True, read=True, context=context).result()
        found = tuple(store.shape), store.dtype.numpy_dtype
        if found != (self.shape, self.dtype):
            raise ValueError(f"it sees shape and type {found}; expected {(self.shape, self.dtype)}")
        return store


def fastest_source(path: str, array: zarr.Array[Any]) -> ZarrSource:
    """The fastest reader that there is for a zarr array.

    Args:
        path: folder or URL of the array.
        array: the array, open.
    """
    return ZarrSource(path, array) if is_url(path) else TensorStoreSource(path, array)


def local_spec(path: str, array: zarr.Array[Any]) -> dict[str, Any]:
    """How tensorstore is told to open a zarr array in a local folder."""
    return {
        "driver": _DRIVERS[array.metadata.zarr_format],
        "kvstore": {"driver": "file", "path": f"{Path(path).resolve().as_posix()}/"},
    }


def may_use_tensorstore(inherited: Any = None) -> bool:
    """Whether this process is the one that started tensorstore, or may be.

    Args:
        inherited: what a forked child has from its parent's tensorstore; it is kept, since freeing it ends the child.
    """
    global _owner
    if _owner is None:
        _owner = os.getpid()
    if _owner == os.getpid():
        return True
    if not _inherited:
        logger.warning(
            "this process was forked from one that had read volumes already: zarr-python reads here, which is slower; "
            "start workers by multiprocessing_context='forkserver' or 'spawn' instead"
        )
    _inherited.append(inherited)
    return False
