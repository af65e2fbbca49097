"""Labels of a CellMap submission as volumes: in its zip file, or unpacked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import ZipStore

from ...volumes import Grid, Volume
from ...volumes.axes import AxisLayout
from ...volumes.source import FileSource, OpenedArray
from ...volumes.zarr_open import open_zarr
from ..submissions.checks import stated_grid
from ..submissions.submission import read_submission

_AXES = "zyx"


def submission_volumes(path: str | Path) -> dict[tuple[str, str], Volume]:
    """Every label of a zip file, by crop and class; the file is checked, and not unpacked.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: for what is no submission.
    """
    volumes = {}
    with read_submission(path) as submission:
        for label in submission:
            source = _ZippedArray(str(path), label.array)
            grid = Grid(label.voxel_size, label.translation, "nm")
            name = f"{path}/{label.array.path}"
            layout = AxisLayout.of(_AXES, source.shape, None, name)
            volumes[label.crop, label.label] = Volume(name, OpenedArray(source, _AXES, grid), layout, grid)
    return volumes


def with_stated_grid(volume: Volume) -> Volume:
    """The volume with the voxel size and translation that a submission's arrays have among their attributes.

    Other volumes come back as they are.
    """
    if volume.states_geometry or "voxel_size" not in volume.attributes:
        return volume
    grid = Grid(*stated_grid(volume.path, volume.attributes), "nm")
    opened = replace(open_zarr(volume.path, None, None), grid=grid)
    return Volume(volume.path, opened, AxisLayout.of(opened.axes, opened.source.shape, None, volume.path), grid)


class _ZippedArray(FileSource):
    """An array in a zip file, opened anew in every process."""

    def __init__(self, path: str, array: zarr.Array) -> None:
        super().__init__(path)
        self.inner = array.path
        self.shape, self.chunks = tuple(array.shape), tuple(array.chunks)
        self.dtype = np.dtype(array.dtype).newbyteorder("=")

    def open_handle(self) -> zarr.Array:
        return zarr.open_array(ZipStore(self.path, mode="r"), path=self.inner, mode="r", zarr_format=2)

    def read_box(self, selection: tuple[slice, ...]) -> np.ndarray:
        block: Any = self.handle[selection]
        return np.asarray(block, self.dtype)

    def signature(self) -> Iterator[str]:
        """Also says which of the file's arrays it is."""
        yield self.inner
        yield from super().signature()
