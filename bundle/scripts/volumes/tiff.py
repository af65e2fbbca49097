"""TIFF files as volumes."""

from __future__ import annotations

import weakref
from typing import Any, cast

import numpy as np
import tifffile
import zarr

from .array_sizes import check_sizes
from .errors import corrupt_chunk, require_access
from .grid import Grid, unit_symbol
from .source import FileSource, OpenedArray


class TiffSource(FileSource):
    """The first series of a TIFF at full resolution; pages (or tiles) are read as they are needed."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        with tifffile.TiffFile(path) as tiff:
            series = tiff.series[0]
            compression = tifffile.COMPRESSION(series.keyframe.compression)
            self.dtype, self.axes = np.dtype(series.dtype).newbyteorder("="), _tiff_axes(series.axes, path)
            self.grid = _imagej_grid(tiff) or _ome_grid(tiff)
            if self.dtype.kind not in "biuf":
                raise ValueError(f"{path}: the pixels are {self.dtype}; expected integers or floats")
            try:
                tifffile.TIFF.DECOMPRESSORS[compression]
            except (KeyError, ImportError) as error:
                raise ImportError(
                    f"{path}: compression {compression.name} needs the package imagecodecs; "
                    "install it with: pip install 'polytome[tiff]'"
                ) from error
        array = self.handle
        self.shape, self.chunks = tuple(array.shape), tuple(array.chunks)
        check_sizes(path, self.shape, self.chunks, self.dtype)

    def open_handle(self) -> zarr.Array[Any]:
        tiff = tifffile.TiffFile(self.path)
        array = cast("zarr.Array[Any]", zarr.open(tiff.series[0].aszarr(level=0), mode="r"))
        weakref.finalize(array, tiff.close)
        return array

    def read_box(self, selection: tuple[slice, ...]) -> np.ndarray:
        try:
            return self._read(selection)
        except MemoryError:
            raise
        except Exception as error:
            require_access(self.path, self.path, error)
            for start in range(selection[0].start, selection[0].stop):
                try:
                    self._read((slice(start, start + 1), *selection[1:]))
                except Exception as reason:
                    low = [start] + [s.start for s in selection[1:]]
                    high = [start + 1] + [s.stop for s in selection[1:]]
                    raise corrupt_chunk(self.path, f"index {start}", low, high, reason) from reason
            raise OSError(f"{self.path}: reading failed: {type(error).__name__}: {error}") from error

    def _read(self, selection: tuple[slice, ...]) -> np.ndarray:
        block = cast(np.ndarray, self.handle[selection]).astype(self.dtype, copy=False)
        self.decoded.add(block.nbytes)
        return block


def open_tiff(path: str) -> OpenedArray:
    """Open a TIFF; its geometry is that of ImageJ or OME metadata, where they state a unit."""
    source = TiffSource(path)
    return OpenedArray(source, source.axes, source.grid)


def _tiff_axes(axes: str, path: str) -> str:
    """tifffile's letters to ours: samples are channels, and an axis without meaning is z where there is no other."""
    letters = axes.upper().replace("S", "C") if "C" not in axes.upper() else axes.upper()
    unnamed = [a for a in letters if a not in "TCZYX"]
    if len(unnamed) == 1 and "Z" not in letters and unnamed[0] in "QI":
        letters = letters.replace(unnamed[0], "Z")
    elif unnamed:
        raise ValueError(f"{path}: TIFF axes {axes}; expected T, C, Z, Y, X (or one stack of pages without name)")
    return letters.lower()


def _imagej_grid(tiff: tifffile.TiffFile) -> Grid | None:
    metadata: dict[str, Any] = tiff.imagej_metadata or {}
    unit = unit_symbol(str(metadata.get("unit", "")).replace("\\u00B5", "µ"))
    tags: Any = tiff.pages.first.tags
    if unit not in ("nm", "um", "mm") or "XResolution" not in tags or "YResolution" not in tags:
        return None
    y, x = (tags[name].value for name in ("YResolution", "XResolution"))  # pixels per unit, as a fraction
    return Grid((float(metadata.get("spacing", 1.0)), y[1] / y[0], x[1] / x[0]), unit=unit)


def _ome_grid(tiff: tifffile.TiffFile) -> Grid | None:
    if not tiff.is_ome or not tiff.ome_metadata:
        return None
    images = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]
    pixels = (images[0] if isinstance(images, list) else images)["Pixels"]
    units = {unit_symbol(pixels.get(f"PhysicalSize{a}Unit", "µm")) for a in "ZYX" if f"PhysicalSize{a}" in pixels}
    if len(units) != 1 or not {"PhysicalSizeY", "PhysicalSizeX"} <= set(pixels):
        return None
    z, y, x = (float(pixels.get(f"PhysicalSize{a}", 1.0)) for a in "ZYX")
    return Grid((z, y, x), unit=units.pop())
