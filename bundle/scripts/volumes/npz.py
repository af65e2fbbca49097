"""Arrays in NumPy's .npz archives as volumes."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np

from .array_sizes import check_expansion
from .errors import MetadataError
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
                self._check_size(archive.zip.getinfo(f"{name}.npy"), archive.zip)
                return np.asarray(archive[name])
        except MetadataError:
            raise
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{self.path}: not a readable .npz archive of numbers: {error}") from error

    def _check_size(self, member: zipfile.ZipInfo, archive: zipfile.ZipFile) -> None:
        """Refuse an array that claims more than the archive holds, before it is allocated."""
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            forms = np.lib.format
            read_header = forms.read_array_header_1_0 if version == (1, 0) else forms.read_array_header_2_0
            shape, _, dtype = read_header(file)
        check_expansion(self.path, max(math.prod(shape) * dtype.itemsize, member.file_size), member.compress_size)

    def read_box(self, selection: tuple[slice, ...]) -> np.ndarray:
        block = np.array(self.handle[selection], dtype=self.dtype)
        self.decoded.add(block.nbytes)
        return block


def open_npz(path: str) -> OpenedArray:
    """Open a .npz archive: y x, z y x or c z y x."""
    return OpenedArray(NpzSource(path))
