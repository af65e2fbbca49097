"""Training patches of CellMap's crops, in which every voxel is annotated, the background as well."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ..geometry import IMAGE_KEY, MASK_KEY
from ..volumes import Volume
from .table import array_keys, open_array, open_images, volume_box


def crop_patches(
    volumes: Sequence[Mapping[str, Any]],
    patch_size: Sequence[int],
    *,
    stride: Sequence[int] | int | None = None,
    targets: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Cover the annotated box of every volume with patches, whatever the labels hold there. No voxels are read.

    `find_patches` looks for labelled voxels in huge sparse arrays; here background is annotated as well, and a crop
    without any object shows what is none. Patches start at the box's first voxel, go on every `stride` voxels, and the
    last one ends with its last voxel. Along an axis where the box is smaller than a patch, one patch lies around its
    middle, inside the volume as far as possible.

    Args:
        volumes: the `volumes` table; the annotated box is what all labels of a volume cover together.
        patch_size: voxels along z, y, x.
        stride: voxels between patches, one number or z, y, x; default half a patch.
        targets: the `targets` table, whose kinds say how labels are read.

    Returns:
        `{"volume": index, "start": [z, y, x], "size": [z, y, x], "ref_label": None}` in order; no label decides, so
        that loading does not look for labelled voxels.

    Raises:
        ValueError: for sizes that are not positive, or a volume without labels.
    """
    size = [int(n) for n in patch_size]
    steps = (
        [max(n // 2, 1) for n in size] if stride is None else [stride] * 3 if isinstance(stride, int) else list(stride)
    )
    for name, values in (("patch_size", size), ("stride", steps)):
        if len(values) != 3 or min(values) < 1:
            raise ValueError(f"{name} must be three positive numbers z, y, x; got {values}")
    return [
        {"volume": number, "start": list(start), "size": size, "ref_label": None}
        for number, volume in enumerate(volumes)
        for start in _starts(volume, size, steps, targets)
    ]


def _starts(
    volume: Mapping[str, Any], size: Sequence[int], steps: Sequence[int], targets: Mapping[str, Any] | None
) -> list[tuple[int, ...]]:
    image = open_images(volume)[0]
    keys = [key for key in array_keys(volume) if key not in (IMAGE_KEY, MASK_KEY)]
    if not keys:
        raise ValueError(
            f"volume {volume.get(IMAGE_KEY)!r} has no label, so that nothing says what is annotated there: give one, "
            "or 'points'"
        )
    boxes = [_covered(open_array(volume, key, targets, image), image) for key in keys]
    region_low, region_high = volume_box(volume, image)
    axes = []
    for axis in range(3):
        low = max(min(box[0][axis] for box in boxes), region_low[axis])
        high = min(max(box[1][axis] for box in boxes), region_high[axis])
        axes.append(_along_axis(low, high, size[axis], steps[axis], image.spatial_shape[axis]))
    return list(itertools.product(*axes))


def _covered(label: Volume, image: Volume) -> tuple[list[int], list[int]]:
    """First voxel and last plus one, z y x of the image, that a label covers."""
    pads = label.padding((0, 0, 0), image.spatial_shape)
    return [before for before, _ in pads], [n - after for n, (_, after) in zip(image.spatial_shape, pads, strict=True)]


def _along_axis(low: int, high: int, size: int, step: int, extent: int) -> list[int]:
    if high <= low:
        return []
    if high - low <= size:
        middle = low - (size - (high - low)) // 2
        return [min(max(middle, 0), max(extent - size, 0))]
    return [*range(low, high - size, step), high - size]
