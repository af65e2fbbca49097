"""Random rotation, scaling and elastic deformation of arrays and samples of any origin."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import get_track_meta
from monai.transforms import MapTransform, Randomizable, Transform
from monai.utils import convert_to_tensor

from ..geometry import Kind
from .labels import check_choice
from .spatial import IMAGE_KIND, MASK_KIND, ApplySpatiald, SpatialModes, apply_spatial, with_type_of
from .spatial_draw import SPATIAL_KEY, RandSpatialDraw


class RandSpatial(Randomizable, Transform):
    """Random rotation, scaling and elastic deformation of one array.

    Args:
        kind: `"image"`, `"mask"`, or a kind of target.
        draw: probabilities and ranges; `None`: those of nnU-Net.
        image_mode, label_mode, outside: see `SpatialModes`.

    Raises:
        ValueError: for a kind or mode that does not exist.
    """

    def __init__(
        self,
        kind: str = "image",
        draw: RandSpatialDraw | None = None,
        image_mode: str = "linear",
        label_mode: str = "nearest",
        outside: str = "border",
    ) -> None:
        self.kind = check_choice("kind", kind, [IMAGE_KIND, MASK_KIND, *map(str, Kind)])
        self.draw = RandSpatialDraw() if draw is None else draw
        self.modes = SpatialModes(image_mode, label_mode, outside)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandSpatial:
        self.draw.set_random_state(seed, state)
        return self

    def randomize(self, data: Any = None) -> None:
        self.draw.randomize()

    def __call__(self, array: NdarrayOrTensor, randomize: bool = True) -> torch.Tensor:
        """
        Args:
            array: C D H W or C H W; what lies outside is unknown, or continues its border.
            randomize: whether to draw anew.
        """
        if randomize:
            self.randomize()
        tensor = torch.as_tensor(convert_to_tensor(array, track_meta=get_track_meta()))
        tensor = with_type_of(self.kind, tensor)
        if self.draw.drawn is None:
            return tensor
        return apply_spatial([tensor], [self.kind], self.draw.drawn, self.modes)[0]


class RandSpatiald(Randomizable, MapTransform):
    """Draw and apply at once, for samples of any origin (see `RandSpatialDraw`, `ApplySpatiald`).

    What comes from outside the array is unknown, or continues the image's border; patches of volumes are better
    enlarged before they are read (`RandSpatialDrawd`).

    Args:
        keys: keys of arrays that share a grid.
        targets: see `ApplySpatiald`.
        draw: probabilities and ranges; `None`: those of nnU-Net.
        image_mode, label_mode, outside: see `SpatialModes`.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        targets: Mapping[str, Any] | None = None,
        draw: RandSpatialDraw | None = None,
        image_mode: str = "linear",
        label_mode: str = "nearest",
        outside: str = "border",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.draw = RandSpatialDraw() if draw is None else draw
        self.apply = ApplySpatiald(keys, targets, image_mode, label_mode, outside, allow_missing_keys)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandSpatiald:
        self.draw.set_random_state(seed, state)
        return self

    def randomize(self, data: Any = None) -> None:
        self.draw.randomize()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        self.randomize()
        drawn = self.draw.drawn
        return self.apply(data if drawn is None else {**data, SPATIAL_KEY: drawn})
