"""Boundaries between labelled objects, as a target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from monai.config import KeysCollection
from numpy.typing import NDArray

from ..geometry.fields import signed_distance, touching
from ..geometry.targets import UNKNOWN_LABEL
from .labels import Label, LabelTransform, LabelTransformd, check_length


class LabelToBoundary(LabelTransform):
    """Label that is 1 on the boundary of objects: where a voxel shares a face with another id or with the background.

    Args:
        thickness: depth of the boundary, physical length: voxels whose centre lies within it of the boundary (which
            runs midway between voxels) count, too; `None`: only the voxels that touch.
        include_background: whether the background's side of the boundary counts as well.
        spacing: nominal spacing; `None` takes it from the MetaTensor.

    Raises:
        ValueError: when `thickness` is no length above zero.
    """

    unknown_value = UNKNOWN_LABEL

    def __init__(
        self,
        thickness: float | None = None,
        *,
        include_background: bool = False,
        spacing: Sequence[float] | None = None,
    ) -> None:
        super().__init__(spacing)
        self.thickness = None if thickness is None else check_length("thickness", thickness)
        self.include_background = include_background

    def derive(self, label: Label) -> NDArray[np.int8]:
        """Boundary 1 D H W (or 1 H W), int8: 1, 0, and -1 where the label is unknown."""
        boundary = touching(label.ids)
        if self.thickness is not None:
            distance = signed_distance(label.ids, label.spacing, per_instance=True)
            boundary |= np.abs(distance) <= self.thickness * (1 + 1e-6)  # NaN (no boundary) is false
        if not self.include_background:
            boundary &= label.ids > 0
        return boundary[None].astype(np.int8)  # D H W -> 1 D H W


class LabelToBoundaryd(LabelTransformd):
    """Dictionary form of `LabelToBoundary`.

    Args:
        keys: keys of the labels.
        output_keys: where the boundaries go, one per key; `None`: in place.
        thickness, include_background, spacing: see `LabelToBoundary`.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_keys: KeysCollection | None = None,
        thickness: float | None = None,
        *,
        include_background: bool = False,
        spacing: Sequence[float] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        transform = LabelToBoundary(thickness, include_background=include_background, spacing=spacing)
        super().__init__(keys, output_keys, transform, allow_missing_keys)
