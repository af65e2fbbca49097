"""The `volumes` table of a config: what its rows may hold, and the training data made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..geometry import IMAGE_KEY, MASK_KEY, did_you_mean, parse_targets, stored_keys, stored_kinds
from ..volumes import (
    LANDMARKS_KEY,
    POINTS_KEY,
    STORED_AXES,
    Volume,
    open_resampled,
    open_stack,
    resampling_mode,
    to_view,
)
from .landmark_rows import EXTRA_KEY, ID_KEY, landmark_targets, place_landmarks, row_landmarks

OPTION_KEYS = ("ref_label", "spacing", "shape", "region", "split", "axes", POINTS_KEY, LANDMARKS_KEY, ID_KEY, EXTRA_KEY)
"""Keys of a volume that are no arrays."""


def array_keys(volume: Mapping[str, Any]) -> list[str]:
    """Keys of a volume that name arrays: the image, its targets, masks; a key without value names none."""
    return [key for key, value in volume.items() if key not in OPTION_KEYS and value is not None]


def reference_key(volume: Mapping[str, Any], ref_label: str | None = None) -> str:
    """Key of the label that decides which patches are kept: the volume's own, the given one, or its first label.

    Raises:
        ValueError: if the volume has no label, or the named one is missing; the message lists the keys there are.
    """
    labels = [key for key in array_keys(volume) if key not in (IMAGE_KEY, MASK_KEY)]
    key = volume.get("ref_label") or ref_label or (labels[0] if labels else None)
    if key is None or key not in array_keys(volume):
        missing = "has no label array" if key is None else f"has no array '{key}', which is its reference label"
        raise ValueError(
            f"volume {volume.get(IMAGE_KEY)!r} {missing}{did_you_mean(str(key), labels)}; its arrays: "
            f"{', '.join(array_keys(volume))}"
        )
    return key


def axes_of(volume: Mapping[str, Any]) -> str:
    """Order in which the axes of a volume, or of a datum, are seen, see `scripts.volumes.PermutedVolume`."""
    return STORED_AXES if volume.get("axes") is None else volume["axes"]


def open_images(volume: Mapping[str, Any]) -> list[Volume]:
    """The image of a volume, which may be a list of arrays that are stacked as channels.

    A volume with `spacing` is opened at exactly that, one with `shape` at so many voxels, see
    `scripts.volumes.open_resampled`. One with `axes` is seen in
    that order of axes; its row, `spacing` and `region`, is in the order z, y, x nevertheless.

    Raises:
        FileNotFoundError: where nothing is at a path.
        ValueError: for what is no volume, a spacing that is not positive, or an order of axes that there is not.
    """
    return open_stack(volume[IMAGE_KEY], volume.get("spacing"), axes_of(volume), volume.get("shape"))


def open_array(
    volume: Mapping[str, Any], key: str, targets: Mapping[str, Any] | None = None, image: Volume | None = None
) -> Volume:
    """One array of a volume, as it is trained on: with `spacing` or `shape` on the grid of the volume's image.

    Args:
        volume: a row of the `volumes` table.
        key: which array; of several images the first.
        targets: the `targets` table, whose kinds say how an array is interpolated; without it, integers are labels.
        image: the first of `open_images(volume)` where that is open already.

    Raises:
        FileNotFoundError: where nothing is at the path.
        ValueError: for what is no volume, or cannot be placed on the image's grid.
    """
    is_resampled = any(volume.get(option) is not None for option in ("spacing", "shape"))
    if image is None and (key == IMAGE_KEY or is_resampled):
        image = open_images(volume)[0]
    if key == IMAGE_KEY and image is not None:
        return image
    kind = stored_kinds(targets).get(key) if targets else None
    mode = "nearest" if key == MASK_KEY else None if kind is None else resampling_mode(kind)
    has_components = kind is not None and kind.is_directional
    return open_resampled(
        volume[key], volume.get("spacing"), mode, image, axes_of(volume), has_components, volume.get("shape")
    )


def volume_box(volume: Mapping[str, Any], array: Volume) -> tuple[list[int], list[int]]:
    """First voxel and last voxel plus one of the part of a volume that may be used, along the axes of `array`.

    Raises:
        ValueError: if the volume's `region` is no box within the array.
    """
    shape = list(array.spatial_shape)
    region = volume.get("region")
    if region is None:
        return [0, 0, 0], shape
    if not _is_box(region):
        raise ValueError(
            f"region must be two corners of whole numbers, [[z0, y0, x0], [z1, y1, x1]], the second one exclusive; "
            f"got {region!r}"
        )
    low, high = ([int(n) for n in to_view(corner, axes_of(volume))] for corner in region)
    if any(not 0 <= a < b <= n for a, b, n in zip(low, high, shape, strict=True)):
        raise ValueError(
            f"region {[low, high]} of {array.path} must lie within its shape {shape} ({' '.join(axes_of(volume))}), "
            "its first corner below its second"
        )
    return low, high


def _is_box(region: Any) -> bool:
    try:
        return [[int(n) == n for n in corner] for corner in region] == [[True] * 3] * 2
    except (TypeError, ValueError, OverflowError):
        return False


def make_datalist(
    volumes: Sequence[Mapping[str, Any]],
    patches: Sequence[Mapping[str, Any]],
    targets: Mapping[str, Any],
    ref_label: str | None = None,
) -> list[dict[str, Any]]:
    """Small, picklable training data: one dictionary per patch with the paths of its volume.

    Args:
        volumes: the `volumes` table.
        patches: what `find_patches` returned.
        targets: the `targets` table; arrays that no target needs are left out.
        ref_label: as given to `find_patches`. Each datum says under `ref_label` in which of its arrays labels were
            found, so that loading notices when they are gone.

    Returns:
        `{"image": PATH, "<target>": PATH, ..., "ref_label": key, "start": [z, y, x], "size": [z, y, x],
        "volume": index}`, and whatever else a patch holds. Of a volume with `axes` everything in the datum, `spacing`
        and `shape` too, is along these. With a target of kind `points` and landmarks in the table, each datum has
        `landmarks`, N 3 float64: voxels of the grid at which the volume is read, NaN where one is missing.
    """
    wanted = {IMAGE_KEY, MASK_KEY, *stored_keys(targets), POINTS_KEY, "spacing", "shape", "axes"}
    rows = []
    for volume in volumes:
        row = {key: value for key, value in volume.items() if key in wanted}
        for option in ("spacing", "shape"):
            if row.get("axes") is not None and row.get(option) is not None:
                row[option] = list(to_view(row[option], row["axes"]))
        try:
            reference = reference_key(volume, ref_label)
        except ValueError:  # patches that no label decided
            reference = ""
        rows.append(row | ({"ref_label": reference} if reference in row else {}))
    for row, places in zip(rows, _placed_landmarks(volumes, targets), strict=False):
        row[LANDMARKS_KEY] = places
    return [{**rows[patch["volume"]], **patch} for patch in patches]


def _placed_landmarks(volumes: Sequence[Mapping[str, Any]], targets: Mapping[str, Any]) -> list[np.ndarray]:
    """Landmarks of each volume in voxels as it is read, N 3; none where no target asks for them, or no volume has any.

    A volume that lacks them has NaN, so that all samples of a batch have the same keys.
    """
    given = [row_landmarks(volume) for volume in volumes] if landmark_targets(parse_targets(targets)) else []
    counts = {len(landmarks.names) for landmarks in given if landmarks is not None}
    if len(counts) > 1:
        raise ValueError(f"volumes: expected the same landmarks everywhere; there are {sorted(counts)} of them")
    return [
        np.full((count, 3), np.nan) if landmarks is None else place_landmarks(volume, landmarks, open_images(volume)[0])
        for count in counts
        for volume, landmarks in zip(volumes, given, strict=True)
    ]
