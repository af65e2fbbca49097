"""Small stores with a spacing and a place, for tests of other grids."""

import numpy as np

from scripts.volumes import NORMAL_INT8, create_ome_zarr, encode, open_volume

ORIGIN = (100.0, -5.0, 7.0)


def store(path, data, spacing=(1.0, 1.0, 1.0), translation=ORIGIN, **kwargs):
    data = data if data.ndim == 4 else data[None]
    kwargs = {"unit": "um", "chunks": (4, 5, 6)} | kwargs
    writer = create_ome_zarr(path, data.shape, data.dtype, spacing=spacing, translation=translation, **kwargs)
    writer.write((0, 0, 0), data)
    return open_volume(path)


def whole(volume):
    return volume.read((0, 0, 0), volume.spatial_shape)


def store_normals(path):
    """Unit vectors in int8, 40 % of them missing."""
    rng = np.random.default_rng(1)
    normals = rng.normal(size=(3, 13, 11, 17))
    normals /= np.linalg.norm(normals, axis=0)
    normals[:, rng.random((13, 11, 17)) < 0.4] = 0
    return store(path, encode(normals, NORMAL_INT8, "int8"), attributes=NORMAL_INT8.as_attributes())
