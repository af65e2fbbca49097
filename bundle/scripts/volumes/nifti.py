"""NIfTI files as volumes."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from .array_sizes import check_expansion
from .errors import corrupt_chunk, require_access
from .grid import Grid, unit_symbol
from .source import FileSource, OpenedArray

_UNREADABLE = (
    EOFError,
    OSError,
    ValueError,
    zlib.error,
    nibabel.filebasedimages.ImageFileError,
    nibabel.spatialimages.HeaderDataError,
    nibabel.wrapstruct.WrapStructError,
)
"""What nibabel raises for headers that it does not understand."""

_AXES = ("xy", "xyz", "xyzc", "xyztc")


class NiftiSource(FileSource):
    """A NIfTI file, axes x, y, z[, c] as on disk; scl_slope and scl_inter are applied, the result is then float32.

    A box of an uncompressed file is read by itself; a .nii.gz is decompressed once per process and kept.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        try:
            image: Any = nibabel.load(path)
        except _UNREADABLE as error:
            require_access(path, path, error)
            raise ValueError(f"{path}: no readable NIfTI file: {error}") from error
        header: Any = image.header
        shape = tuple(int(n) for n in image.shape)
        # NIfTI keeps vectors in axis 5 behind a time of length 1, and pads with axes of length 1.
        while len(shape) > 5 and shape[-1] == 1:
            shape = shape[:-1]
        self.shape = shape
        proxy: Any = image.dataobj
        stored = np.dtype(proxy.dtype)
        if stored.kind not in "biuf":
            raise ValueError(f"{path}: the voxels are {stored}; expected integers or floats")
        check_expansion(path, math.prod(shape) * stored.itemsize, Path(path).stat().st_size)
        self.scaled = (proxy.slope, proxy.inter) != (1, 0)
        self.dtype = np.dtype(np.float32) if self.scaled else stored.newbyteorder("=")
        self.chunks = shape
        self.compressed = path.lower().endswith(".gz")
        unit = header.get_xyzt_units()[0]
        spacing = [float(zoom) for zoom in header.get_zooms()[:3]]
        z, y, x = [1.0, *spacing[::-1]][-3:]  # a 2D image has no z
        self.grid = Grid((z, y, x), unit="mm" if unit == "unknown" else unit_symbol(unit))
        self.affine = np.asarray(image.affine).tolist()

    def open_handle(self) -> Any:
        image: Any = nibabel.load(self.path)
        proxy = image.dataobj
        return np.asarray(proxy).astype(self.dtype, copy=False) if self.compressed else proxy

    def read_box(self, selection: tuple[slice, ...]) -> np.ndarray:
        try:
            block = np.asarray(self.handle[selection])
        except MemoryError:
            raise
        except Exception as error:
            require_access(self.path, self.path, error)
            raise corrupt_chunk(self.path, "whole file", [0] * len(self.shape), self.shape, error) from error
        self.decoded.add(block.nbytes)
        # Trailing axes of length 1 that `shape` leaves out are dropped here, too.
        return block.reshape(block.shape[: len(self.shape)]).astype(self.dtype, copy=False)


def open_nifti(path: str) -> OpenedArray:
    """Open a NIfTI file. Its orientation is kept as attribute `nifti_affine` (4 x 4, x y z) and not applied."""
    source = NiftiSource(path)
    if not 2 <= len(source.shape) <= 5:
        raise ValueError(f"{path}: NIfTI of shape {source.shape}; expected axes x y, x y z, x y z c or x y z t c")
    return OpenedArray(source, _AXES[len(source.shape) - 2], source.grid, {"nifti_affine": source.affine})
