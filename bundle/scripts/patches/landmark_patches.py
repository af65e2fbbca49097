"""Patches of landmark detection: whole images at one size, and those that show a landmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .class_counts import ClassCounts
from .landmark_rows import place_landmarks, row_landmarks
from .table import open_images


def fit_volumes(
    volumes: Sequence[Mapping[str, Any]],
    input_size: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
) -> list[dict[str, Any]]:
    """Rows whose images are read at one number of voxels, so that each is one input of a network.

    Args:
        volumes: the `volumes` table; a row's own `shape` stays.
        input_size: voxels z, y, x; `None`: images stay as they are stored.
        spacing: physical size of a voxel along z, y, x of rows without `spacing`, for images that state none.
    """
    shape = {} if input_size is None else {"shape": [int(n) for n in input_size]}
    size = {} if spacing is None else {"spacing": [float(length) for length in spacing]}
    return [shape | size | dict(volume) for volume in volumes]


def choose_landmark_patches(
    split: Sequence[Sequence[Mapping[str, Any]]], volumes: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The patches of a training on landmarks, and which of them show any.

    With these counts, the method `"foreground"` of `PatchSampler` draws its share among the patches with a landmark.

    Args:
        split: training and validation patches, as `split_patches` returned them.
        volumes: the `volumes` table.

    Returns:
        `{"train": patches, "validate": patches, "counts": ClassCounts of the training patches (one class: 1 where a
        landmark is shown), "class_voxels": {}}`. Only validation patches that show a landmark are kept, if any does:
        nothing can be measured in the others.

    Raises:
        ValueError: if no training patch shows any landmark.
    """
    train, validate = ([dict(patch) for patch in part] for part in split)
    placed = [_placed(volume) for volume in volumes]
    shown = np.array([_shows_landmark(patch, placed) for patch in train], int)
    if not shown.any():
        raise ValueError(
            f"none of the {len(train)} training patches shows a landmark; check the landmarks' coordinate system, "
            "patch_size and stride"
        )
    seen = [patch for patch in validate if _shows_landmark(patch, placed)]
    counts = ClassCounts(["landmark"], shown[:, None])
    return {"train": train, "validate": seen or validate, "counts": counts, "class_voxels": {}}


def _placed(volume: Mapping[str, Any]) -> np.ndarray:
    """Landmarks in voxels as the volume is read, N 3, without those that are missing."""
    landmarks = row_landmarks(volume)
    if landmarks is None:
        return np.zeros((0, 3))
    points = place_landmarks(volume, landmarks, open_images(volume)[0])
    return np.asarray(points[~np.isnan(points).any(axis=1)])


def _shows_landmark(patch: Mapping[str, Any], placed: Sequence[np.ndarray]) -> bool:
    points = placed[patch["volume"]] - np.asarray(patch["start"])
    return bool(((points >= -0.5) & (points < np.asarray(patch["size"]) - 0.5)).all(axis=1).any())
