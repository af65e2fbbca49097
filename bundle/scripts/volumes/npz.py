"""Arrays in NumPy's .npz archives as volumes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from .source import FileSource, OpenedArray

_FIRST = "arr_0"


class NpzSource(FileSource):
    """The array `arr_0` of a .npz archive, or its only one; decompressed once per process and kept."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        array = self.handle
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{path}: the array holds {array.dtype}; expected bool, integers or floats")
        self.shape, self.dtype, self.chunks = array.shape, array.dtype.newbyteorder("="), array.shape

    def open_handle(self) -> np.ndarray:
        try:
            with Path(self.path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
                name = _FIRST if _FIRST in archive or len(archive.files) != 1 else archive.files[0]
                if name not in archive:
                    raise ValueError(f"expected one array, or one of the name {_FIRST}; found {archive.files}")
                return np.asarray(archive[name])
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{self.path}: not a readable .npz archive of numbers: {error}") from error

    def read(self, selection: tuple[slice, ...]) -> np.ndarray:
        block = np.array(self.handle[selection], dtype=self.dtype)
        self.decoded.add(block.nbytes)
        return block


def open_npz(path: str) -> OpenedArray:
    """Open a .npz archive: y x, z y x or c z y x."""
    return OpenedArray(NpzSource(path))
