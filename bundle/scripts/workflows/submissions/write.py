"""Predictions written as the labels of a submission."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

from ...metrics import CELLMAP_INSTANCE_CLASSES
from ...volumes import Volume, bundle, lattice, open_volume, touched_blocks
from ...volumes.grid import common_unit
from .checks import Triple, stated_grid
from .grid import as_mask, to_truth_grid
from .manifest import WantedLabel
from .submission import ROOT

_CHUNK = 64
_BOX_VOXELS = 2**24
"""Most voxels that are copied at once."""

Blocks = Iterator[tuple[Sequence[int], np.ndarray]]
"""First voxel and values D H W of the parts of an array."""


@dataclass(frozen=True)
class PackedLabel:
    """A prediction, and where it goes.

    Args:
        crop: folder in the submission.
        name: class, and name in the crop's folder.
        dataset: that the crop is of; may be empty.
        path: of the prediction.
        wanted: the grid that is asked for; `None`: the prediction's own.
    """

    crop: str
    name: str
    dataset: str
    path: str
    wanted: WantedLabel | None = None

    @property
    def is_instance(self) -> bool:
        return self.name in CELLMAP_INSTANCE_CLASSES


def write_label(label: PackedLabel, folder: Path) -> str:
    """Write one array of a submission, zarr v2, in the type that its values need.

    Args:
        label: what to write.
        folder: group of all crops.

    Returns:
        what was written, in words.

    Raises:
        FileNotFoundError: where the prediction does not exist.
        TypeError: for objects whose ids are floats.
        ValueError: for more than one channel, a negative id, or a store that states no voxel size.
    """
    volume = open_volume(label.path)
    if volume.channels != 1:
        raise ValueError(f"{label.path} has {volume.channels} channels; expected one label, D H W")
    if label.is_instance and (volume.dtype.kind not in "biu" or volume.encoding is not None):
        raise TypeError(
            f"{label.path}: {label.name} is a class of objects, whose ids are whole numbers; it holds "
            f"{'probabilities' if volume.encoding else volume.dtype}. Segment it first"
        )
    voxel_size, translation = _grid_in_nm(volume)
    shape, highest = volume.spatial_shape, 1
    blocks: Blocks
    if label.wanted is not None:
        grid = label.wanted
        values = to_truth_grid(
            _values(volume, (0, 0, 0), shape, label.is_instance), voxel_size, translation,
            grid.shape, grid.voxel_size, grid.translation, label.is_instance,
        )  # fmt: skip
        voxel_size, translation, shape = grid.voxel_size, grid.translation, grid.shape
        highest, blocks = int(values.max()), iter([((0, 0, 0), values)])
    else:
        if label.is_instance:
            highest = max((int(values.max()) for _, values in _stored(volume, True)), default=0)
        blocks = _stored(volume, label.is_instance)
    dtype = np.dtype(np.min_scalar_type(highest).name)  # NumPy has two 64-bit types, of which zarr knows one
    array = zarr.create_array(
        str(folder),
        name=f"{label.crop}/{label.name}",
        shape=shape,
        chunks=tuple(min(_CHUNK, n) for n in shape),
        dtype=dtype,
        zarr_format=2,
        attributes={"voxel_size": list(voxel_size), "translation": list(translation), "shape": list(shape)},
        config={"write_empty_chunks": False},
    )
    for start, values in blocks:
        array[tuple(slice(at, at + n) for at, n in zip(start, values.shape, strict=True))] = values.astype(dtype)
    sizes = " x ".join(map(str, shape))
    return f"{label.crop}/{label.name}: {dtype}, {sizes} voxels of {' x '.join(f'{n:g}' for n in voxel_size)} nm"


def zip_labels(folder: Path, target: Path) -> None:
    """Put the labels into a zip file; chunks are compressed already, so that they are only stored."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(path, f"{ROOT}/{path.relative_to(folder).as_posix()}")


def _stored(volume: Volume, is_instance: bool) -> Blocks:
    """Ids or masks of the parts of a volume of which something is stored."""
    step = bundle((_CHUNK,) * 3, volume.spatial_shape, _BOX_VOXELS)
    touched = touched_blocks(volume.stored_chunks(), step)
    for start, size in lattice(volume.spatial_shape, step):
        if tuple(low // n for low, n in zip(start, step, strict=True)) in touched:
            values = _values(volume, start, size, is_instance)
            yield start, values if is_instance else as_mask(values)


def _values(volume: Volume, start: Sequence[int], size: Sequence[int], is_instance: bool) -> np.ndarray:
    """D H W: ids; or a mask's numbers as stored, or probabilities."""
    block = volume.read(start, size)[0]  # 1 D H W -> D H W
    if is_instance and block.dtype.kind == "i" and block.min() < 0:
        raise ValueError(f"{volume.path}: ids must be 0 (background) or more; got {block.min()}")
    if not is_instance and volume.encoding is not None:
        return volume.decode(block[None])[0]
    return block


def _grid_in_nm(volume: Volume) -> tuple[Triple, Triple]:
    if not volume.states_geometry:
        return stated_grid(volume.path, volume.attributes)
    _, (factor, _) = common_unit([volume.unit, "nm"], volume.path)
    (z, y, x), (tz, ty, tx) = volume.spacing, volume.translation
    return (z * factor, y * factor, x * factor), (tz * factor, ty * factor, tx * factor)
