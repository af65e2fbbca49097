"""Training patches around annotated points."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..volumes import POINTS_KEY, STORED_AXES, Point, ResampledVolume, Volume, read_points
from .cellmap_patches import crop_patches
from .table import axes_of, open_images, volume_box

logger = logging.getLogger(__name__)


def point_patches(
    volumes: Sequence[Mapping[str, Any]],
    patch_size: Sequence[int],
    *,
    cover_size: Sequence[int] | None = None,
    targets: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Cover the annotated points of every volume with few patches; volumes without points are covered as a whole.

    Each point lies in a patch. A patch holds as many points as a greedy choice finds, lies around the middle of them,
    and inside the volume or its `region` as far as that is not smaller. Points outside of the region are left out.

    Each patch states the range of starts in which it keeps the point nearest to its middle; `add_start_ranges` stays
    within it.

    Args:
        volumes: the `volumes` table; `points` names the CSV file of a volume's points.
        patch_size: voxels along z, y, x. [1, 1, 1] gives one patch per point.
        cover_size: of the patches that cover what is labelled in volumes without points, such as those that validate
            (see `crop_patches`); `None`: `patch_size`.
        targets: the `targets` table, whose kinds say how labels are read.

    Returns:
        `{"volume": index, "start": [z, y, x], "size": [z, y, x], "ref_label": None, "start_range": [first, last]}` in
        order of volume, the last entry for patches around points only.

    Raises:
        ValueError: for sizes that are not positive, a file of points with a fault, a volume none of whose points is in
            its region, and a volume that has neither points nor a label.
    """
    size = [int(n) for n in patch_size]
    if len(size) != 3 or min(size) < 1:
        raise ValueError(f"patch_size must be three positive numbers z, y, x; got {size}")
    patches: list[dict[str, Any]] = []
    for number, volume in enumerate(volumes):
        if volume.get(POINTS_KEY) is None:
            found = crop_patches([volume], size if cover_size is None else cover_size, targets=targets)
        else:
            found = _around_points(volume, size)
        patches += [{**patch, "volume": number} for patch in found]
    return patches


def volume_points(volume: Mapping[str, Any], image: Volume) -> list[Point]:
    """The points of a volume, which are voxels of its image.

    Args:
        volume: its row of the `volumes` table.
        image: the first of its `open_images`.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: for a fault in the file, and for an image that is not read voxel by voxel as it is stored.
    """
    if axes_of(volume) != STORED_AXES:
        raise ValueError(
            f"{volume[POINTS_KEY]}: points are voxels along z, y, x, but axes = {volume['axes']!r}; leave 'axes' out"
        )
    if isinstance(image, ResampledVolume):
        raise ValueError(
            f"{volume[POINTS_KEY]}: points are voxels of {image.path} as it is stored, of {list(image.base.spacing)}, "
            f"but it is read at spacing = {list(image.spacing)}; leave 'spacing' out, or store image and label at that "
            "spacing and draw points there"
        )
    return read_points(volume[POINTS_KEY], image.spatial_shape)


def _around_points(volume: Mapping[str, Any], size: Sequence[int]) -> list[dict[str, Any]]:
    image = open_images(volume)[0]
    points = np.array([point[:3] for point in volume_points(volume, image)])
    low, high = (np.array(corner) for corner in volume_box(volume, image))
    inside = ((points >= low) & (points < high)).all(axis=1)
    if not inside.any():
        raise ValueError(
            f"{volume[POINTS_KEY]}: none of its {len(points)} points lies in the region "
            f"{[low.tolist(), high.tolist()]} of {image.path}; draw points there, or change the region"
        )
    if not inside.all():
        logger.info("%s: %d points outside of the volume's region are left out", volume[POINTS_KEY], (~inside).sum())
    extent, shape = np.array(size), np.array(image.spatial_shape)
    patches = []
    for members in _greedy_groups(points[inside], extent):
        middle = (members.min(axis=0) + members.max(axis=0) + 1 - extent) // 2
        around_region = np.clip((low + high - extent) // 2, 0, np.maximum(shape - extent, 0))
        start = np.where(high - low < extent, around_region, np.clip(middle, low, np.maximum(high - extent, low)))
        distance = np.abs(members - start - (extent - 1) / 2).max(axis=1)
        anchor = members[np.argmin(distance)]
        first = np.maximum(anchor - extent + 1, np.minimum(low, start))
        last = np.minimum(anchor, np.maximum(high - extent, start))
        limits = [first.tolist(), last.tolist()]
        patches.append({"start": start.tolist(), "size": list(size), "ref_label": None, "start_range": limits})
    return patches


def _greedy_groups(points: np.ndarray, size: np.ndarray) -> list[np.ndarray]:
    """Part points N 3 into groups that one patch holds each, few of them.

    The first point along z begins a patch there; along y, then x, the patch lies where it holds the most points that
    no patch holds yet.
    """
    left = points[np.lexsort(points.T[::-1])]
    groups = []
    while len(left):
        taken = left[:, 0] < left[0, 0] + size[0]  # sorted by z
        for axis in (1, 2):
            along = np.sort(left[taken, axis])
            starts = along[(along <= left[0, axis]) & (along > left[0, axis] - size[axis])]
            held = np.searchsorted(along, starts + size[axis]) - np.searchsorted(along, starts)
            best = starts[np.argmax(held)]
            taken &= (left[:, axis] >= best) & (left[:, axis] < best + size[axis])
        groups.append(left[taken])
        left = left[~taken]
    return groups
