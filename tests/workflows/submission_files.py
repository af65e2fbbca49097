"""Zip files that are written by hand, entry by entry."""

import io
import json
import zipfile

import numpy as np

GRID = {"voxel_size": [4, 4, 4], "translation": [10, 20, 30]}


def zarray(shape=(2, 3, 4), dtype="|u1", **changes):
    """Metadata of a zarr v2 array without compression, in one chunk."""
    content = {
        "zarr_format": 2, "shape": list(shape), "chunks": list(shape), "dtype": dtype, "compressor": None,
        "fill_value": 0, "order": "C", "filters": None, "dimension_separator": ".",
    }  # fmt: skip
    return json.dumps({**content, **changes})


def label(name="crop1/nuc", values=None, attributes=GRID, **changes):
    """Entries of one array."""
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) if values is None else values
    entries = {
        f"{name}/.zarray": zarray(values.shape, values.dtype.str, **changes),
        f"{name}/.zattrs": json.dumps(attributes),
        f"{name}/0.0.0": values.tobytes(),
    }
    return entries if attributes is not None else {key: entries[key] for key in entries if not key.endswith(".zattrs")}


def write_zip(path, *groups):
    """Write dictionaries name (or ZipInfo) -> content, one after the other."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entries in groups:
            for name, content in entries.items():
                archive.writestr(name, content)
    return path


def members(*groups):
    """What such a file holds."""
    with zipfile.ZipFile(write_zip(io.BytesIO(), *groups)) as archive:
        return archive.infolist()
