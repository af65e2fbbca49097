"""Labels of which only some points are known: read as points, carried as points, written as voxels at the end."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform

from ..geometry import IMAGE_KEY, UNKNOWN_LABEL
from ..geometry.affines import reference_affine, require_meta_tensor
from ..geometry.point_maps import move_points
from ..volumes import POINTS_KEY, read_points
from .labels import check_choice
from .meta import moved_affine, with_values
from .spatial import spacing_of
from .spatial_draw import SPATIAL_KEY, SpatialDraw
from .two_views import points_in_view

VALUES = ("label", "instance")


@dataclass(frozen=True)
class PatchPoints:
    """Annotated points of a patch.

    Args:
        positions: N 3, float64, physical: where the affines of the sample's arrays have them once the sample's draw is
            carried out.
        values: `label` and `instance`, N each, int64.
    """

    positions: torch.Tensor
    values: dict[str, np.ndarray]


def mark_points(array: MetaTensor, points: PatchPoints, value: str = "label") -> torch.Tensor:
    """Write points into a label that is unknown everywhere else.

    A point goes to the nearest voxel; of several in one voxel the one nearest to its centre counts. Points that the
    array does not show are left out.

    Args:
        array: C D H W on the grid of the label; its values do not count.
        points: of the patch.
        value: `"label"` or `"instance"`.

    Returns:
        1 D H W with the array's meta, int32 (instances: int64): -1 where there is no point.

    Raises:
        TypeError: when `array` carries no affine.
    """
    require_meta_tensor(array)
    size = tuple(array.shape[1:])
    places = move_points(points.positions, torch.eye(4), array.affine).numpy()
    nearest = np.rint(places)
    distance = np.abs(places - nearest).max(axis=1)
    shown = np.flatnonzero(((nearest >= 0) & (nearest < size)).all(axis=1))  # false for NaN
    shown = shown[np.argsort(-distance[shown], kind="stable")]  # the nearest is written last
    label = np.full(size, UNKNOWN_LABEL, np.int32 if value == "label" else np.int64)
    label[tuple(nearest[shown].astype(int).T)] = points.values[value][shown]
    return with_values(array, torch.from_numpy(label)[None].to(array.device))  # D H W -> 1 D H W


class LoadPointsd(Transform):
    """Read the points of a patch; stands after `LoadZarrPatchd` and before `ApplySpatiald`.

    The datum's `points` is the path of a CSV file (see `scripts.volumes.read_points`) with voxel indices of the grid at
    which the volume is read. In its place the sample gets those that lie in the box that was read. A draw of
    `RandSpatialDrawd` moves them here, its elastic part included; whatever moves the arrays later is followed by
    their affines. A sample without `points` stays as it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, tuple[torch.Tensor, dict[str, np.ndarray]]] = {}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """
        Args:
            data: a loaded sample with its image, and perhaps `points`.

        Raises:
            TypeError: when the image carries no affine.
            ValueError: for a file that holds no points, or the draws of two views.
            FileNotFoundError: if the file does not exist.
        """
        sample = dict(data)
        path = sample.get(POINTS_KEY)
        if path is None:
            return sample
        if not isinstance(path, str | Path):
            raise ValueError(f"'{POINTS_KEY}': expected the path of a CSV file; got {type(path).__name__}")
        image, draw = sample[IMAGE_KEY], sample.get(SPATIAL_KEY)
        require_meta_tensor(image, IMAGE_KEY)
        if not isinstance(draw, SpatialDraw | None):
            raise ValueError(f"expected one draw, that of RandSpatialDrawd; got {type(draw).__name__}, for two views")
        places, values = self._read(str(path))
        start = torch.as_tensor(image.meta["start"]).cpu().double()
        read = places - start
        inside = ((read >= 0) & (read < torch.tensor(image.shape[1:]))).all(dim=1)
        positions = positions_after_draw(read[inside], image, draw, start)
        sample[POINTS_KEY] = PatchPoints(positions, {name: column[inside.numpy()] for name, column in values.items()})
        return sample

    def _read(self, path: str) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
        """Indices N 3 float64, and the values, of all points of a file."""
        if path not in self._files:
            points = read_points(path)
            columns = {name: [getattr(point, name) for point in points] for name in VALUES}
            self._files[path] = (
                torch.tensor([point[:3] for point in points], dtype=torch.float64),
                {name: np.array(column, np.uint64).astype(np.int64) for name, column in columns.items()},
            )
        return self._files[path]


class PointLabelsd(MapTransform):
    """Write points into labels (see `mark_points`); stands after all spatial transforms, and after `LoadPointsd`.

    In a sample without points, of a volume whose label is an array, the keys stay as they are.

    Args:
        keys: keys of the labels; `LoadZarrPatchd` makes one that is unknown for a volume that lacks its array.
        value: `"label"` or `"instance"`.
        allow_missing_keys: whether a sample may lack a key.

    Raises:
        ValueError: when `value` is neither.
    """

    def __init__(self, keys: KeysCollection, value: str = "label", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.value = check_choice("value", value, VALUES)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the sample with the points in its labels, and without `points`.

        Raises:
            TypeError: when a label carries no affine.
            ValueError: when a draw has not been carried out, or the points have not been read.
        """
        sample = dict(data)
        points = sample.pop(POINTS_KEY, None)
        if points is None:
            return sample
        if not isinstance(points, PatchPoints):
            raise ValueError(
                f"'{POINTS_KEY}' still is {points!r}: place LoadPointsd after LoadZarrPatchd and before ApplySpatiald"
            )
        if SPATIAL_KEY in sample:
            raise ValueError("the sample's draw has not been carried out: place ApplySpatiald before PointLabelsd")
        for key in self.key_iterator(sample):
            require_meta_tensor(sample[key], key)
            sample[key] = mark_points(sample[key], points, self.value)
        return sample


def positions_after_draw(
    read: torch.Tensor, image: MetaTensor, draw: SpatialDraw | None, start: torch.Tensor
) -> torch.Tensor:
    """Physical positions of points, as the image's affine has them once a draw is carried out.

    Args:
        read: N 3 (2D: N 2), indices in the box that was read.
        image: that box.
        draw: of the sample; `None`: none.
        start: first voxel of the box in the volume.

    Returns:
        N 3 (2D: N 2), float64; NaN where the deformation cannot be inverted.
    """
    identity = torch.eye(4, dtype=torch.float64)
    reference = reference_affine(image)
    if draw is None:
        return move_points(read, reference, identity)
    margin = torch.zeros(image.ndim - 1, dtype=torch.float64)
    size = tuple(image.shape[1:])
    if draw.patch is not None:
        margin, size = torch.tensor(draw.patch[0], dtype=torch.float64) - start, draw.patch[1]
    spacing = spacing_of(image)
    linear, half = draw.linear(spacing), (torch.tensor(size, dtype=torch.float64) - 1) / 2
    drawn = moved_affine(reference, linear, margin + half - linear @ half)
    return move_points(points_in_view(read - margin, draw, size, spacing), drawn, identity)
