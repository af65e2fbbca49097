"""What is wrong with a `volumes` table, found before any patch is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..geometry import IMAGE_KEY, MASK_KEY, Kind, did_you_mean, parse_targets, stored_keys
from ..volumes import LANDMARKS_KEY, POINTS_KEY, Volume
from .landmark_rows import landmark_faults, row_place, table_landmark_faults
from .points_in_patches import volume_points
from .table import OPTION_KEYS, array_keys, open_array, open_images, volume_box

SPLITS = ("train", "val")


def volume_faults(volumes: Any, targets: Mapping[str, Any], in_channels: int | None = None) -> list[str]:
    """List every fault of a `volumes` table in words.

    Arrays are opened, not read.

    Args:
        volumes: the table.
        targets: a valid `targets` table.
        in_channels: channels that the network takes; `None`: not checked.
    """
    if not isinstance(volumes, Sequence) or isinstance(volumes, str) or not volumes:
        return [f'volumes: expected a list such as [{{"image": PATH, "<target>": PATH}}], got {volumes!r}']
    faults: list[str] = []
    units: dict[str, int] = {}  # unit -> first volume that has it
    for number, volume in enumerate(volumes):
        if isinstance(volume, Mapping):
            images, found = _open_images(volume)
            found = _key_faults(volume, targets) + found + _array_faults(volume, images, targets, in_channels)
            found += landmark_faults(volume, images, parse_targets(targets))
            if images and images[0].unit is not None:
                units.setdefault(images[0].unit, number)
        else:
            found = [f"expected a dictionary of paths, got {volume!r}"]
        faults.extend(f"{row_place(number, volume)}: {fault}" for fault in found)
    if len(units) > 1:
        found = [f"volumes[{number}] is in {unit}" for unit, number in units.items()]
        faults.append(
            f"volumes: {', '.join(found)}: spacings compare only in one unit, in which the network is planned and "
            "distances are measured; state one unit in all stores ('python -m scripts convert IN OUT --spacing z,y,x "
            f"--unit {next(iter(units))}' writes a store anew)"
        )
    rows = [volume for volume in volumes if isinstance(volume, Mapping)]
    faults += table_landmark_faults(volumes, parse_targets(targets))
    for name, target in parse_targets(targets).items():
        if not target.kind.has_truth:
            continue
        if target.kind is Kind.LABEL and any(volume.get(POINTS_KEY) for volume in rows):
            continue  # points may stand for any label
        if target.kind is Kind.POINTS and any(volume.get(LANDMARKS_KEY) for volume in rows):
            continue
        if not any(volume.get(target.stored_key) for volume in rows):
            carried = sorted({key for volume in rows for key in array_keys(volume) if key != IMAGE_KEY})
            faults.append(
                f"targets: {name}: no volume carries '{target.stored_key}'{did_you_mean(target.stored_key, carried)}; "
                f"the volumes carry: {', '.join(carried) or 'no label'}. Add its path, remove the target, or name in "
                "'source' the key that it is derived from"
            )
    return faults


def _key_faults(volume: Mapping[str, Any], targets: Mapping[str, Any]) -> list[str]:
    keys = stored_keys(targets)
    known = [IMAGE_KEY, MASK_KEY, *keys, *OPTION_KEYS]
    table = parse_targets(targets)
    faults = []
    for key in volume:
        if key in known:
            continue
        if key in table:
            what = f"'{key}' is a target that is derived from '{table[key].source}', so that no volume carries it"
        else:
            what = f"'{key}' is no target and no key of a volume{did_you_mean(key, known)}"
        faults.append(
            f"{what}; targets read: {', '.join(keys)}; other keys: {', '.join([IMAGE_KEY, MASK_KEY, *OPTION_KEYS])}"
        )
    arrays = array_keys(volume)
    if MASK_KEY in arrays and MASK_KEY not in keys:
        faults.append(f'\'{MASK_KEY}\' has no effect: no target says "mask": "{MASK_KEY}"; name it there, or remove it')
    if IMAGE_KEY not in arrays:
        faults.append(f"has no '{IMAGE_KEY}'; its keys: {', '.join(map(str, volume)) or 'none'}")
    reference = volume.get("ref_label")
    if reference is not None and reference not in arrays:
        faults.append(
            f"ref_label '{reference}' is no array of this volume{did_you_mean(reference, arrays)}; its arrays: "
            f"{', '.join(arrays)}"
        )
    if volume.get("split") not in (None, *SPLITS):
        faults.append(f"split must be one of {', '.join(SPLITS)}; got {volume['split']!r}")
    return faults


def _open_images(volume: Mapping[str, Any]) -> tuple[list[Volume], list[str]]:
    """The image's arrays, and why there are none."""
    if volume.get(IMAGE_KEY) is None:
        return [], []
    try:
        images = open_images(volume)
    except (OSError, ValueError, TypeError, KeyError) as error:
        return [], [f"image: {error}"]
    if not images:
        return [], ["image: expected a path, or a list of paths that are stacked as channels; got an empty list"]
    return images, []


def _array_faults(
    volume: Mapping[str, Any], images: Sequence[Volume], targets: Mapping[str, Any], in_channels: int | None
) -> list[str]:
    if not images:
        return []
    grid: Volume = images[0]
    faults: list[str] = []
    found = sum(image.channels for image in images)
    if in_channels is not None and found != in_channels:
        faults.append(f"image {grid.path} has {found} channels, the network takes in_channels = {in_channels}")
    for image in images[1:]:
        faults += _grid_faults(image, grid, IMAGE_KEY)
    table = parse_targets(targets)
    for key in stored_keys(targets):
        if volume.get(key) is None:
            continue
        try:
            array = open_array(volume, key, targets, grid)
        except (OSError, ValueError, TypeError, KeyError) as error:
            faults.append(f"{key}: {error}")
            continue
        faults += _grid_faults(array, grid, key)
        is_label = key not in table or table[key].kind is Kind.LABEL
        channels = 1 if is_label else table[key].channels
        if array.channels != channels:
            why = "a label holds one class per voxel" if is_label else f"the target has channels = {channels}"
            faults.append(f"{key}: {array.path} has {array.channels} channels, expected {channels}: {why}")
    if volume.get(POINTS_KEY) is not None:
        try:
            volume_points(volume, grid)
        except (OSError, ValueError) as error:
            faults.append(f"{POINTS_KEY}: {error}")
    try:
        volume_box(volume, grid)
    except (ValueError, TypeError) as error:
        faults.append(str(error))
    return faults


def _grid_faults(array: Volume, grid: Volume, key: str) -> list[str]:
    if array.spatial_shape == grid.spatial_shape:
        return []
    fault = (
        f"{key}: {array.path} has shape {array.spatial_shape}, the image {grid.path} has {grid.spatial_shape} (z y x); "
        "all arrays of a volume share one grid: pick the matching pyramid level with PATH::LEVEL, or give the volume a "
        "'spacing', at which all are read, placed by the physical position that their stores state"
    )
    return [fault]
