"""Training patches of images that nobody has labelled."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..geometry import IMAGE_KEY
from ..volumes import CannotListError, Volume
from .table import open_images, volume_box

logger = logging.getLogger(__name__)

_MOST_PATCHES = 50_000
"""Beyond this a list of places takes more time and memory than it is worth: patches move between them anyway."""


def image_patches(
    volumes: Sequence[Mapping[str, Any]],
    patch_size: Sequence[int],
    *,
    stride: Sequence[int] | int | None = None,
    max_patches: int = _MOST_PATCHES,
) -> list[dict[str, Any]]:
    """Cover the images of all volumes with patches, wherever the store holds anything. No voxels are read.

    Patches start at the first voxel of the volume's region, go on every `stride` voxels, and the last one ends with its
    last voxel. Where that makes more than `max_patches` patches, the stride becomes larger. Chunks that the store
    leaves out hold nothing but the fill value; a patch of them alone is left out.

    Args:
        volumes: the `volumes` table; labels are not looked at.
        patch_size: voxels along z, y, x.
        stride: voxels between patches, one number or z, y, x; default a patch.
        max_patches: of all volumes together, at least one each.

    Returns:
        `{"volume": index, "start": [z, y, x], "size": [z, y, x], "ref_label": None}` in order.

    Raises:
        ValueError: for sizes that are not positive, an image smaller than a patch, or one without any stored voxel.
    """
    size = _three("patch_size", patch_size)
    steps = np.array(size if stride is None else _three("stride", [stride] * 3 if isinstance(stride, int) else stride))
    opened = [open_images(volume) for volume in volumes]
    boxes = [volume_box(volume, images[0]) for volume, images in zip(volumes, opened, strict=True)]
    for volume, (low, high) in zip(volumes, boxes, strict=True):
        if any(stop - first < n for first, stop, n in zip(low, high, size, strict=True)):
            raise ValueError(
                f"{volume[IMAGE_KEY]} has {[b - a for a, b in zip(low, high, strict=True)]} voxels to train on, fewer "
                f"than a patch of {size} (z, y, x); choose a smaller patch_size, or another region"
            )
    while (total := sum(_count(box, size, steps) for box in boxes)) > max(max_patches, len(boxes)):
        steps = np.ceil(steps * max(1.01, (total / max_patches) ** (1 / 3))).astype(int)
    patches: list[dict[str, Any]] = []
    for number, (images, (low, high)) in enumerate(zip(opened, boxes, strict=True)):
        starts = np.array(list(itertools.product(*_axes(low, high, size, steps))))  # N: z y x
        starts = starts[_holds_anything(images, starts, size)]
        if not len(starts):
            raise ValueError(f"{images[0].path}: nothing is stored in the region {[low, high]}; choose another one")
        patches += [{"volume": number, "start": start, "size": size, "ref_label": None} for start in starts.tolist()]
    logger.info("%d patches, one every %s voxels (z, y, x)", len(patches), steps.tolist())
    return patches


def _axes(low: Sequence[int], high: Sequence[int], size: Sequence[int], steps: np.ndarray) -> Iterator[list[int]]:
    for first, stop, n, step in zip(low, high, size, steps.tolist(), strict=True):
        yield [*range(first, stop - n, step), stop - n]


def _count(box: tuple[list[int], list[int]], size: Sequence[int], steps: np.ndarray) -> int:
    (low, high), total = box, 1
    for first, stop, n, step in zip(low, high, size, steps.tolist(), strict=True):
        total *= -(-(stop - n - first) // step) + 1
    return total


def _holds_anything(images: Sequence[Volume], starts: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Of each patch whether a stored chunk of any image touches it, N bool."""
    grids = [np.unique(starts[:, axis]) for axis in range(3)]
    touched = np.zeros([len(grid) for grid in grids], bool)
    for image in images:
        try:
            boxes = image.stored_chunks(inside_shards=True)
        except CannotListError:  # a server that does not tell what it stores
            return np.ones(len(starts), bool)
        for start, extent in boxes:
            box = tuple(
                slice(np.searchsorted(grid, first - n, "right"), np.searchsorted(grid, first + length))
                for grid, first, length, n in zip(grids, start, extent, size, strict=True)
            )
            touched[box] = True
    found: np.ndarray = touched[tuple(np.searchsorted(grid, starts[:, axis]) for axis, grid in enumerate(grids))]
    return found


def _three(name: str, values: Sequence[int]) -> list[int]:
    checked = [int(n) for n in values]
    if len(checked) != 3 or min(checked) < 1:
        raise ValueError(f"{name} must be three positive numbers z, y, x; got {list(values)}")
    return checked
