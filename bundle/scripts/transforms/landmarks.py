"""Landmarks of a patch, carried as points through every change of space."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform

from ..geometry import IMAGE_KEY
from ..geometry.affines import linear_part, require_meta_tensor
from ..geometry.point_maps import move_points
from ..volumes import LANDMARKS_KEY
from .landmark_pairs import pairs_by_name, parse_pairs, swap_pairs
from .point_labels import positions_after_draw
from .spatial_draw import SPATIAL_KEY, SpatialDraw

logger = logging.getLogger(__name__)

_POSITIONS, _ORIENTATION = "positions", "orientation"


class LoadLandmarksd(Transform):
    """Place the landmarks of a sample in space; stands after the image is loaded and before `ApplySpatiald`.

    The datum's `landmarks` are voxels N 3 of the volume (2D: N 2), NaN or `None` where one is missing, as
    `make_datalist` puts them there. In their place the sample gets a dictionary of tensors: `positions` N 3, float64,
    physical, where the affine of the image has them once the sample's draw is carried out; and `orientation`, 1, or -1
    where that affine mirrors. A draw of `RandSpatialDrawd` moves them here, its elastic part included; whatever moves
    the arrays later is followed by their affines. All landmarks are kept, also those beyond the patch. A sample without
    `landmarks` stays as it is.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """
        Args:
            data: a loaded sample with its image C D H W (or C H W), and perhaps `landmarks`.

        Raises:
            TypeError: when the image carries no affine.
            ValueError: for what are no points of the image's axes, or the draws of two views.
        """
        sample = dict(data)
        given = sample.get(LANDMARKS_KEY)
        if given is None:
            return sample
        image, draw = sample[IMAGE_KEY], sample.get(SPATIAL_KEY)
        require_meta_tensor(image, IMAGE_KEY)
        if not isinstance(draw, SpatialDraw | None):
            raise ValueError(f"expected one draw, that of RandSpatialDrawd; got {type(draw).__name__}, for two views")
        voxels = _as_points(given, image)
        start = torch.as_tensor(image.meta.get("start", [0] * voxels.shape[1])).cpu().double()
        sample[LANDMARKS_KEY] = {
            _POSITIONS: positions_after_draw(voxels - start, image, draw, start),
            _ORIENTATION: _orientation(image),
        }
        return sample


class LandmarksToPointsd(MapTransform):
    """Make points of a sample's landmarks; stands after all spatial transforms, and after `LoadLandmarksd`.

    Where the transforms mirror, be it by a flip, a transposition or an affine, the landmarks of each pair change
    places, since the mirror image of a left one is a right one.

    A sample without landmarks stays as it is.

    Args:
        keys: keys of the points, N 3 (2D: N 2) float32: indices in the patch, which may lie beyond it; NaN where one is
            missing. These are the truth of targets of kind points; the losses draw heatmaps of them.
        pairs: left and right landmarks, two each, by position (counted from 0) or name. `None`: none; where
            landmarks are paired by name then, the first mirrored sample logs a warning.
        names: of the landmarks, see `scripts.patches.landmark_names`.
        ref_key: key of the image in whose voxels the points are.

    Raises:
        ValueError: for pairs that are none.
    """

    def __init__(
        self,
        keys: KeysCollection,
        pairs: Sequence[Sequence[int | str]] | None = None,
        names: Sequence[str] | None = None,
        ref_key: str = IMAGE_KEY,
    ) -> None:
        super().__init__(keys)
        self.pairs = [] if pairs is None else parse_pairs(pairs, names)
        self._unpaired = pairs_by_name(names) if pairs is None and names is not None else []
        self.names = None if names is None else list(names)
        self.ref_key = ref_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the sample with points, and without `landmarks`.

        Raises:
            TypeError: when the image carries no affine.
            ValueError: when a draw has not been carried out, the landmarks have not been placed, or there are fewer of
                them than the pairs name.
        """
        sample = dict(data)
        landmarks = sample.pop(LANDMARKS_KEY, None)
        if landmarks is None:
            return sample
        if not isinstance(landmarks, Mapping):
            raise ValueError(
                f"'{LANDMARKS_KEY}' still is {type(landmarks).__name__}: place LoadLandmarksd after LoadZarrPatchd "
                "and before ApplySpatiald"
            )
        if SPATIAL_KEY in sample:
            raise ValueError(
                "the sample's draw has not been carried out: place ApplySpatiald before LandmarksToPointsd"
            )
        image = sample[self.ref_key]
        require_meta_tensor(image, self.ref_key)
        points = move_points(landmarks[_POSITIONS], torch.eye(4), image.affine)
        if _orientation(image) != landmarks[_ORIENTATION].cpu():
            points = swap_pairs(points, self.pairs)
            self._warn_of_pairs()
        for key in self.keys:
            sample[key] = points.to(image.device, torch.float32, copy=True)
        return sample

    def _warn_of_pairs(self) -> None:
        if self._unpaired and self.names is not None:
            named = ", ".join(f"'{self.names[a]}' and '{self.names[b]}'" for a, b in self._unpaired[:3])
            logger.warning(
                "samples are mirrored, and %d landmarks are left and right by name (%s), but no 'pairs' are given: the "
                "network learns a left landmark on the right side, too. Give 'pairs', or mirror less",
                2 * len(self._unpaired), named,
            )  # fmt: skip
            self._unpaired = []


def _as_points(given: Any, image: MetaTensor) -> torch.Tensor:
    """Voxels N D of the volume, float64."""
    dims = image.ndim - 1
    try:
        if isinstance(given, str):
            raise TypeError
        if not isinstance(given, torch.Tensor | np.ndarray):
            width = max((len(point) for point in given if point is not None), default=dims)
            given = np.array([[np.nan] * width if point is None else point for point in given], np.float64)
        points = torch.as_tensor(given).detach().to("cpu", torch.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"'{LANDMARKS_KEY}': expected voxels N {dims}, as make_datalist puts them into a datum; got {given!r}. "
            "scripts.patches.place_landmarks reads the landmarks of a file"
        ) from None
    if points.ndim == 2 and points.shape[1] == 2 and dims == 3 and image.shape[1] == 1:
        points = torch.nn.functional.pad(points, (1, 0))  # y x -> z y x
    if points.ndim != 2 or points.shape[1] != dims:
        raise ValueError(
            f"'{LANDMARKS_KEY}': expected voxels N {dims} for an image of shape {list(image.shape)}; got "
            f"{list(points.shape)}"
        )
    return torch.where(points.isfinite().all(dim=1, keepdim=True), points, torch.nan)


def _orientation(image: MetaTensor) -> torch.Tensor:
    return torch.linalg.det(linear_part(image.affine, image.ndim - 1)).sign()
