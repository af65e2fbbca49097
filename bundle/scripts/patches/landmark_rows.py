"""Landmarks in the `volumes` table: read, placed on the grid at which a volume is read, and what is wrong with them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..geometry import IMAGE_KEY, Kind, Target
from ..volumes import (
    LANDMARKS_KEY,
    Landmarks,
    Volume,
    as_landmarks,
    landmarks_to_voxels,
    open_volume,
    outside_volume,
    read_landmarks,
)

logger = logging.getLogger(__name__)

ID_KEY = "id"
EXTRA_KEY = "extra"


def row_landmarks(volume: Mapping[str, Any]) -> Landmarks | None:
    """The landmarks of a row as they are given; `None` where it has none.

    Args:
        volume: a row of the `volumes` table. Its `landmarks` is the path of a file (see `read_landmarks`), or a list of
            [z, y, x] (2D: [y, x]) in voxels of the stored image, null where one is missing.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: for what are no landmarks.
    """
    given = volume.get(LANDMARKS_KEY)
    if given is None:
        return None
    if isinstance(given, str | Path):
        return read_landmarks(given)
    if not isinstance(given, Sequence):
        raise ValueError(f"expected the path of a file, or a list of [z, y, x]; got {given!r}")
    return as_landmarks(given)


def place_landmarks(volume: Mapping[str, Any], landmarks: Landmarks, image: Volume) -> np.ndarray:
    """Voxels N 3, float64, of landmarks on the grid at which a volume is read, along its axes.

    Landmarks in voxels are those of the image as its path opens it: as stored, whatever `spacing` and `axes` the row
    has.

    Args:
        volume: a row of the `volumes` table.
        landmarks: as `row_landmarks` returns them.
        image: the first of the row's `open_images`.

    Raises:
        ValueError: see `landmarks_to_voxels`.
    """
    first = volume[IMAGE_KEY]
    stored = open_volume(first if isinstance(first, str | Path) else first[0])
    # A store that states no geometry has the row's spacing, and only one level.
    return landmarks_to_voxels(landmarks, image, stored if stored.states_geometry else None)


def landmark_names(volumes: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """Names of the landmarks, those of the first row that has any; `None` where no row has."""
    for volume in volumes:
        landmarks = row_landmarks(volume)
        if landmarks is not None:
            return list(landmarks.names)
    return None


def landmark_targets(targets: Mapping[str, Target]) -> dict[str, Target]:
    """The targets that landmarks are the truth of."""
    return {name: target for name, target in targets.items() if target.kind is Kind.POINTS}


def landmark_faults(volume: Mapping[str, Any], images: Sequence[Volume], targets: Mapping[str, Target]) -> list[str]:
    """What is wrong with the landmarks of a row; those outside of the image are a warning in the log.

    Args:
        volume: a row of the `volumes` table.
        images: its `open_images`, or none.
        targets: a parsed `targets` table.
    """
    wanted = landmark_targets(targets)
    if volume.get(LANDMARKS_KEY) is None:
        trains = volume.get("split") != "val"
        has_truth = any(volume.get(target.stored_key) is not None for target in targets.values())
        if wanted and trains and not has_truth:
            return [f"has no '{LANDMARKS_KEY}' and nothing else to train on; add them, or leave it out of training"]
        return []
    if not wanted:
        return [f"'{LANDMARKS_KEY}' has no effect: no target has kind 'points'; add one, or remove it"]
    try:
        landmarks = row_landmarks(volume)
        if landmarks is None:
            return []
        voxels = place_landmarks(volume, landmarks, images[0]) if images else None
    except (OSError, ValueError, TypeError) as error:
        return [f"{LANDMARKS_KEY}: {error}"]
    if voxels is not None:
        _report_outside(volume, landmarks, voxels, images[0])
    return [
        f"{LANDMARKS_KEY}: there are {len(landmarks.names)} of them, but target '{name}' has channels = "
        f"{target.channels}: one for each landmark"
        for name, target in wanted.items()
        if target.channels != len(landmarks.names)
    ]


def table_landmark_faults(volumes: Sequence[Any], targets: Mapping[str, Target]) -> list[str]:
    """What is wrong between the rows of a `volumes` table.

    That is ids that occur twice, landmarks in 2D beside 3D, and landmarks beside stored heatmaps.

    Args:
        volumes: the table.
        targets: a parsed `targets` table.
    """
    faults = []
    stored = [target.stored_key for target in landmark_targets(targets).values()]
    drawn: dict[str, int] = {}  # key -> first volume that stores it as an array
    numbers: dict[str, int] = {}
    dims: dict[int, int] = {}
    for number, volume in enumerate(volumes):
        if not isinstance(volume, Mapping):  # told with the row
            continue
        for key in stored:
            if volume.get(key) is not None:
                drawn.setdefault(key, number)
        name = volume.get(ID_KEY)
        if name is not None and numbers.setdefault(str(name), number) != number:
            faults.append(f"volumes[{number}]: {ID_KEY} '{name}' is that of volumes[{numbers[str(name)]}], too")
        try:
            landmarks = row_landmarks(volume)
        except (OSError, ValueError, TypeError):  # told with the row
            continue
        if landmarks is not None and not landmarks.missing.all():
            dims.setdefault(landmarks.points.shape[1], number)
    if len(dims) > 1:
        found = " and ".join(f"in {n}D (volumes[{number}])" for n, number in sorted(dims.items()))
        faults.append(f"volumes: there are landmarks {found}; expected one or the other")
    for key, number in drawn.items():
        if any(isinstance(volume, Mapping) and volume.get(LANDMARKS_KEY) is not None for volume in volumes):
            faults.append(
                f"volumes: '{key}' is an array in volumes[{number}], but is made from '{LANDMARKS_KEY}', which there "
                "are, too; give all volumes the one, or all the other"
            )
    return faults


def row_place(number: int, volume: Any) -> str:
    """How a fault names a row: by its number, and its id."""
    name = volume.get(ID_KEY) if isinstance(volume, Mapping) else None
    return f"volumes[{number}]" if name is None else f"volumes[{number}] ({ID_KEY} '{name}')"


def _report_outside(volume: Mapping[str, Any], landmarks: Landmarks, voxels: np.ndarray, image: Volume) -> None:
    outside = np.flatnonzero(outside_volume(voxels, image))
    if len(outside):
        found = ", ".join(f"'{landmarks.names[n]}' at {np.round(voxels[n], 2).tolist()}" for n in outside[:5])
        more = f" and {len(outside) - 5} more" if len(outside) > 5 else ""
        logger.warning(
            "%s: landmarks lie beyond the outermost voxel centres of the image of %s voxels: %s%s; check the file's "
            "coordinate system, or take it that these cannot be seen",
            volume.get(ID_KEY, image.path), list(image.spatial_shape), found, more,
        )  # fmt: skip
