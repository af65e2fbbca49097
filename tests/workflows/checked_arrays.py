"""The arrays and targets of the configs whose check is tested."""

from pathlib import Path

import numpy as np

from scripts.volumes import create_ome_zarr

BUNDLE = Path(__file__).parents[2] / "bundle"
TARGETS = {"sheet": {"channels": 1}, "depth": {"channels": 1, "kind": "scalar"}}


def store(path, shape, dtype="uint8", value=1, **kwargs):
    writer = create_ome_zarr(path, shape, dtype, spacing=(2, 1, 1), chunks=(16,) * 3, **kwargs)
    writer.write((0, 0, 0), np.full(shape, value, dtype))
    return str(path)


def make_arrays(folder):
    """An image and its two targets, as `raw.zarr`, `sheet.zarr` and `depth.zarr`; returns the folder."""
    store(folder / "raw.zarr", (1, 32, 32, 32))
    store(folder / "sheet.zarr", (1, 32, 32, 32))
    store(folder / "depth.zarr", (1, 32, 32, 32), "float32")
    return folder
