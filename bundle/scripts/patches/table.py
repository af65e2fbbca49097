"""The `volumes` table of a config: what its rows may hold, and the training data made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..geometry import IMAGE_KEY, MASK_KEY, did_you_mean, stored_keys
from ..volumes import Volume

OPTION_KEYS = ("ref_label", "spacing", "region", "split")
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


def volume_box(volume: Mapping[str, Any], array: Volume) -> tuple[list[int], list[int]]:
    """First voxel and last voxel plus one, z y x, of the part of a volume that may be used.

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
    low, high = ([int(n) for n in corner] for corner in region)
    if any(not 0 <= a < b <= n for a, b, n in zip(low, high, shape, strict=True)):
        raise ValueError(
            f"region {[low, high]} of {array.path} must lie within its shape {shape} (z y x), "
            "its first corner below its second"
        )
    return low, high


def _is_box(region: Any) -> bool:
    try:
        return [[int(n) == n for n in corner] for corner in region] == [[True] * 3] * 2
    except (TypeError, ValueError):
        return False


def make_datalist(
    volumes: Sequence[Mapping[str, Any]], patches: Sequence[Mapping[str, Any]], targets: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Small, picklable training data: one dictionary per patch with the paths of its volume.

    Args:
        volumes: the `volumes` table.
        patches: what `find_patches` returned.
        targets: the `targets` table; arrays that no target needs are left out.

    Returns:
        `{"image": PATH, "<target>": PATH, ..., "start": [z, y, x], "size": [z, y, x], "volume": index}`.
    """
    wanted = {IMAGE_KEY, MASK_KEY, *stored_keys(targets), "spacing"}
    rows = [{key: value for key, value in volume.items() if key in wanted} for volume in volumes]
    return [{**rows[patch["volume"]], **patch} for patch in patches]
