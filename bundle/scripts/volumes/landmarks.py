"""Landmarks: named points of a volume, in voxels or in space, and from one to the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import did_you_mean
from .grid import common_unit
from .nifti_writer import nifti_affine
from .permuted import STORED_AXES, PermutedVolume, axis_order
from .resample import ResampledVolume
from .volume import Volume

LANDMARKS_KEY = "landmarks"
"""Key of a volume, a datum or a sample that holds its landmarks, or names their file."""

VOXELS = "voxels"
PHYSICAL = "physical"
RAS = "ras"

FRAMES = (VOXELS, PHYSICAL, RAS)
"""Where the numbers count from: the stored array's index; its spacing and translation; a patient's right, front, top.

Each along z, y, x: in `ras` up, forward and right, as NIfTI's affine has them."""

_FROM_XYZ = [2, 1, 0]


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Named points, of which some may be missing.

    Args:
        names: one per landmark; every volume has the same ones in the same order.
        points: N 3 (2D: N 2), float64, z, y, x; NaN: missing. Centres of voxels are whole numbers.
        frame: one of `FRAMES`.
        unit: of the numbers; `None` for voxels, and where it is not known.
        extra: what else the file says, one value per landmark.

    Raises:
        ValueError: for an unknown frame, and points that do not fit the names.
    """

    names: tuple[str, ...]
    points: NDArray[np.float64]
    frame: str = VOXELS
    unit: str | None = None
    extra: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.frame not in FRAMES:
            raise ValueError(
                f"frame must be one of {', '.join(FRAMES)}; got {self.frame!r}{did_you_mean(self.frame, FRAMES)}"
            )
        dims = (3,) if self.frame == RAS else (2, 3)
        if self.points.ndim != 2 or len(self.points) != len(self.names) or self.points.shape[1] not in dims:
            raise ValueError(
                f"{len(self.names)} landmarks have points of shape [{len(self.names)}, {' or '.join(map(str, dims))}]; "
                f"got {list(self.points.shape)}"
            )

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which have no place, N."""
        return np.asarray(np.isnan(self.points).any(axis=1))


def as_landmarks(values: Sequence[Sequence[float] | None], names: Sequence[str] | None = None) -> Landmarks:
    """Landmarks from a list as JSON holds it: [z, y, x] (2D: [y, x]) in voxels, `None` where one is missing.

    Args:
        values: one entry per landmark; numbers that are `None` or NaN are missing, too.
        names: default: numbers from 1.

    Raises:
        ValueError: for an entry that is no point, entries of 2 beside 3 numbers, and an empty list.
    """
    given = list(values)
    lengths = {len(value) if isinstance(value, Sequence) else 1 for value in given if value is not None} or {3}
    if not given or not lengths <= {2, 3} or len(lengths) != 1:
        raise ValueError(
            "expected one [z, y, x] (or, all of them, [y, x]) per landmark, null where one is missing; got "
            f"{list(values)!r}"
        )
    (dims,) = lengths
    try:
        points = np.array([[np.nan] * dims if value is None else value for value in given], np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"expected landmarks of numbers; got {list(values)!r}") from None
    return Landmarks(numbered(len(given)) if names is None else tuple(names), whole_or_missing(points))


def numbered(count: int) -> tuple[str, ...]:
    """Names of landmarks that have none: 1, 2, ..."""
    return tuple(str(n + 1) for n in range(count))


def whole_or_missing(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points N D, in which one that lacks a number lacks all."""
    return np.where(np.isfinite(points).all(axis=1, keepdims=True), points, np.nan)


def landmarks_to_voxels(landmarks: Landmarks, volume: Volume, voxels_of: Volume | None = None) -> NDArray[np.float64]:
    """Indices of landmarks in a volume as it is read.

    Args:
        landmarks: in any frame. Those in 2D are on the only slice of the volume.
        volume: as `open_volume`, `open_resampled` or `permute_axes` return it. Where its store has no orientation, x, y
            and z are taken to point right, forward and up, as `write_nifti` has it.
        voxels_of: the array whose voxels landmarks in voxels are; `None`: what is stored of `volume`, at its level.

    Returns:
        N 3, float64, along the volume's axes; NaN: missing.

    Raises:
        ValueError: for landmarks in 2D of a volume of several slices, and units that cannot be converted.
    """
    axes, stored = _stored(volume)
    if landmarks.frame == VOXELS and voxels_of is not None:
        stored = _stored(voxels_of)[1]
    places = convert_landmarks(landmarks, PHYSICAL, stored).points
    along = places[:, list(axis_order(axes))]
    return np.asarray((along - np.array(volume.translation)) / np.array(volume.spacing), np.float64)


def convert_landmarks(landmarks: Landmarks, frame: str, volume: Volume) -> Landmarks:
    """Landmarks in another frame; always in 3D.

    Args:
        landmarks: in any frame.
        frame: one of `FRAMES`. What comes out as `ras` is in mm where the volume has a unit.
        volume: as stored: neither resampled nor with its axes in another order.

    Raises:
        ValueError: for an unknown frame, landmarks in 2D of a volume of several slices, and units that cannot be
            converted.
    """
    in_unit = landmarks.points * _factor(landmarks.unit, volume.unit, volume)
    places = _with_depth(in_unit, 0.0 if landmarks.frame == VOXELS else volume.translation[0], volume)
    if landmarks.frame == VOXELS:
        places = places * volume.spacing + np.array(volume.translation)
    if landmarks.frame == RAS:
        places = _moved(places, np.linalg.inv(nifti_affine(volume)))  # voxels
        places = places * volume.spacing + np.array(volume.translation)
    unit = volume.unit
    if frame != PHYSICAL:
        places, unit = (places - np.array(volume.translation)) / np.array(volume.spacing), None
    if frame == RAS:
        unit = "mm" if volume.unit is not None else None
        places = _moved(places, nifti_affine(volume)) * _factor(volume.unit, unit, volume)
    return Landmarks(landmarks.names, places, frame, unit, landmarks.extra)


def outside_volume(voxels: NDArray[np.float64], volume: Volume) -> NDArray[np.bool_]:
    """Which landmarks, voxels N 3 of a volume, lie beyond its outermost voxel centres, N."""
    return np.asarray(((voxels < 0) | (voxels > np.array(volume.spatial_shape) - 1)).any(axis=1))  # false for NaN


def _stored(volume: Volume) -> tuple[str, Volume]:
    """The order of axes in which a volume is seen, and what is stored of it."""
    axes = STORED_AXES
    while isinstance(volume, PermutedVolume | ResampledVolume):
        axes = volume.axes if isinstance(volume, PermutedVolume) else axes
        volume = volume.base
    return axes, volume


def _with_depth(points: NDArray[np.float64], z: float, volume: Volume) -> NDArray[np.float64]:
    """Points N 3; those in 2D get the z of the only slice."""
    if points.shape[1] == 3:
        return points
    if volume.spatial_shape[0] != 1:
        raise ValueError(
            f"landmarks in 2D (y, x) belong to {volume.path} of {list(volume.spatial_shape)} voxels (z y x); expected "
            "z, y, x, or an image of one slice"
        )
    depth = np.where(np.isnan(points).any(axis=1, keepdims=True), np.nan, z)
    return np.concatenate([depth, points], axis=1)


def _moved(points: NDArray[np.float64], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points N 3 (z, y, x) through an affine of x, y, z."""
    return np.asarray((points[:, _FROM_XYZ] @ affine[:3, :3].T + affine[:3, 3])[:, _FROM_XYZ])


def _factor(unit: str | None, wanted: str | None, volume: Volume) -> float:
    """How many of `wanted` a `unit` is; 1 where either is not known."""
    return common_unit([unit, wanted], f"landmarks of {volume.path}")[1][0]
