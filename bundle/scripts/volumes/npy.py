"""NumPy files as volumes."""

from __future__ import annotations

from typing import cast

import numpy as np

from .source import FileSource, OpenedArray


class NpySource(FileSource):
    """A .npy file, mapped into memory."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        array = self.handle
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{path}: the array holds {array.dtype}; expected bool, integers or floats")
        self.shape, self.dtype = array.shape, array.dtype.newbyteorder("=")
        self.chunks = tuple(1 if n < array.ndim - 2 else size for n, size in enumerate(array.shape))  # one plane

    def open_handle(self) -> np.ndarray:
        try:
            return cast(np.ndarray, np.load(self.path, mmap_mode="r", allow_pickle=False))
        except (ValueError, EOFError, OverflowError) as error:
            raise ValueError(f"{self.path}: not a readable .npy array of numbers: {error}") from error

    def read_box(self, selection: tuple[slice, ...]) -> np.ndarray:
        block = np.array(self.handle[selection], dtype=self.dtype)
        self.decoded.add(block.nbytes)
        return block


def open_npy(path: str) -> OpenedArray:
    """Open a .npy file: y x, z y x or c z y x."""
    return OpenedArray(NpySource(path))
