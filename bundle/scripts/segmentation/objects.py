"""What is known of each object without its voxels: size, box, whether it touches the volume's border."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .inputs import check_labels
from .relabelling import dense_ids


@dataclass(frozen=True)
class ObjectTable:
    """Objects, one row each.

    Args:
        ids: N uint64, ascending.
        sizes: N voxels.
        starts: N x axes, the first voxel of the object's box.
        stops: N x axes, the voxel after its last one.
        touches_border: N, whether the object touches the volume's border.
    """

    ids: NDArray[np.uint64]
    sizes: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    touches_border: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


def object_table(
    labels: Any, offset: Sequence[int] | None = None, volume_shape: Sequence[int] | None = None
) -> ObjectTable:
    """Size, box and border of all objects of an array, or of one block of a volume (`merge_tables` adds blocks up).

    An axis of one voxel has no border, so that the objects of a single slice do not all touch it.

    Args:
        labels: ids D H W or H W, 0 = background; of a block without halo.
        offset: first voxel of the block in the volume; `None`: the array is the volume.
        volume_shape: shape of the volume, given together with `offset`.

    Returns:
        table whose boxes are in voxels of the volume.

    Raises:
        TypeError: when the labels are floats.
        ValueError: when only one of `offset` and `volume_shape` is given, or the block is not within the volume.
    """
    array = check_labels(labels)
    start, shape = _placement(array.shape, offset, volume_shape)
    ids, positions = dense_ids(array)
    boxes = [[[s.start for s in box], [s.stop for s in box]] for box in ndimage.find_objects(positions)]
    corners = np.array(boxes, dtype=np.int64).reshape(len(ids), 2, array.ndim)  # N (start, stop) axis
    starts, stops = corners[:, 0] + start, corners[:, 1] + start
    touches = (((starts == 0) | (stops == shape)) & (shape > 1)).any(axis=1)
    sizes = np.bincount(positions.ravel(), minlength=len(ids) + 1)[1:]
    return ObjectTable(ids, sizes.astype(np.int64), starts, stops, touches)


def merge_tables(tables: Iterable[ObjectTable]) -> ObjectTable:
    """Add up the tables of the blocks of a volume; rows with the same id become one.

    Tables that were made before the labels of blocks were joined serve as well, with their ids replaced:
    `dataclasses.replace(table, ids=new_label[table.ids])`.

    Raises:
        ValueError: when there is no table.
    """
    given = list(tables)
    if not given:
        raise ValueError("there is no table to merge; give at least one, which may have no rows")
    ids, row = np.unique(np.concatenate([table.ids for table in given]).astype(np.uint64), return_inverse=True)
    n, axes = len(ids), given[0].starts.shape[1]
    sizes = np.zeros(n, dtype=np.int64)
    np.add.at(sizes, row, np.concatenate([table.sizes for table in given]))
    starts = np.full((n, axes), np.iinfo(np.int64).max)
    np.minimum.at(starts, row, np.concatenate([table.starts for table in given]))
    stops = np.zeros((n, axes), dtype=np.int64)
    np.maximum.at(stops, row, np.concatenate([table.stops for table in given]))
    touches = np.zeros(n, dtype=bool)
    touches[row[np.concatenate([table.touches_border for table in given])]] = True
    return ObjectTable(ids, sizes, starts, stops, touches)


def _placement(
    block_shape: tuple[int, ...], offset: Sequence[int] | None, volume_shape: Sequence[int] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if (offset is None) != (volume_shape is None):
        raise ValueError(
            f"offset and volume_shape belong together, got offset={offset!r} and volume_shape={volume_shape!r}"
        )
    start = np.array([0] * len(block_shape) if offset is None else offset, dtype=np.int64)
    shape = np.array(block_shape if volume_shape is None else volume_shape, dtype=np.int64)
    if not len(start) == len(shape) == len(block_shape):
        raise ValueError(f"a block of {len(block_shape)} axes got offset={offset!r} and volume_shape={volume_shape!r}")
    if (start < 0).any() or (start + block_shape > shape).any():
        raise ValueError(
            f"the block of shape {block_shape} at {start.tolist()} is not within the volume of shape {shape.tolist()}"
        )
    return start, shape
