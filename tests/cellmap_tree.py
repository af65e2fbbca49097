"""A small tree of stores as CellMap lays it out: zarr v2, OME-NGFF 0.4, axes z y x, nanometres.

Every voxel's value follows from its physical position, so that a test can say what must be read at any spacing.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import zarr

CENTRE_NM = (160.0, 160.0, 160.0)
RADIUS_NM = {"cell": 150.0, "nuc": 80.0, "nucleolus": 30.0}


def raw_value(z, y, x):
    """Image intensity at a position in nm; linear, so that linear interpolation is exact."""
    return 0.1 * z + 0.2 * y + 0.3 * x


def is_inside(name, z, y, x):
    """Whether a position in nm belongs to a class: balls around one centre, and what is outside of the cell."""
    distance = np.sqrt(sum((p - c) ** 2 for p, c in zip((z, y, x), CENTRE_NM, strict=True)))
    if name == "ecs":
        return distance > RADIUS_NM["cell"]
    if name == "cyto":
        return (distance <= RADIUS_NM["cell"]) & (distance > RADIUS_NM["nuc"])
    return distance <= RADIUS_NM[name]


@dataclass(frozen=True)
class CropPlan:
    """A crop: voxel size and first voxel's centre in nm, shape, classes."""

    name: str
    spacing: tuple
    translation: tuple
    shape: tuple
    classes: tuple


@dataclass(frozen=True)
class DatasetPlan:
    name: str
    spacing: tuple
    shape: tuple
    crops: tuple = ()
    translation: tuple = field(default=(0.0, 0.0, 0.0))


FINE = DatasetPlan(
    "jrc_fine",
    (8, 8, 8),
    (40, 40, 40),
    (
        # corner at voxel 10 of the image, voxels half as large
        CropPlan("crop1", (4, 4, 4), (78, 78, 78), (24, 24, 24), ("nuc", "cell")),
        CropPlan("crop2", (8, 8, 8), (160, 80, 64), (12, 12, 12), ("nuc", "nucleolus", "ecs")),
    ),
)
COARSE = DatasetPlan(
    "jrc_coarse",
    (16, 8, 8),
    (20, 40, 40),
    (CropPlan("crop10", (16, 16, 16), (64, 68, 68), (10, 10, 10), ("cell",)),),
)
DATASETS = (FINE, COARSE)
_KEYS = {"name": "v2", "separator": "/"}
N_CLASSES = """ecs,1,""
nucleolus,2,""
nucpl,3,""
cyto,4,""
nuc,5,"2,3"
cell,6,"2,3,4"
"""


def write_tree(folder, datasets=DATASETS, nested=False):
    """Write the datasets as `<folder>/<dataset>.zarr`, or one folder further down; returns the folder."""
    for dataset in datasets:
        store = Path(folder, dataset.name if nested else "", f"{dataset.name}.zarr")
        write_multiscale(
            store / "recon-1/em/fibsem-uint8", raw_value, dataset.spacing, dataset.translation, dataset.shape
        )
        for crop in dataset.crops:
            for name in crop.classes:
                write_multiscale(
                    store / "recon-1/labels/groundtruth" / crop.name / name,
                    lambda z, y, x, name=name: is_inside(name, z, y, x),
                    crop.spacing, crop.translation, crop.shape,
                )  # fmt: skip
    return Path(folder)


def write_multiscale(path, value, spacing, translation, shape, levels=2, dtype="uint8", chunk=8):
    """An OME-NGFF 0.4 image with levels s0, s1, ..., each half as fine, whose voxels hold `value` at their centres."""
    group = zarr.create_group(str(path), zarr_format=2, overwrite=True)
    listed = []
    for level in range(levels):
        factor = 2**level
        size = [math.ceil(n / factor) for n in shape]
        scale = [float(s * factor) for s in spacing]
        at = [t + s * (factor - 1) / 2 for t, s in zip(translation, spacing, strict=True)]
        axes = [a + s * np.arange(n) for a, s, n in zip(at, scale, size, strict=True)]
        voxels = value(*np.meshgrid(*axes, indexing="ij"))
        array = group.create_array(f"s{level}", shape=size, chunks=(chunk,) * 3, dtype=dtype, chunk_key_encoding=_KEYS)
        array[...] = np.asarray(np.rint(voxels) if voxels.dtype.kind == "f" else voxels).astype(dtype)
        transforms = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": at}]
        listed.append({"path": f"s{level}", "coordinateTransformations": transforms})
    axes = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
    group.attrs["multiscales"] = [{"version": "0.4", "name": path.name, "axes": axes, "datasets": listed}]
    return path
