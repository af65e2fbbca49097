"""Growing labelled objects by a physical radius."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from monai.config import KeysCollection
from numpy.typing import NDArray

from ..geometry.fields import dilate
from ..geometry.targets import UNKNOWN_LABEL
from .labels import Label, LabelTransform, LabelTransformd, check_length


class DilateLabel(LabelTransform):
    """Grow every object into the background by a radius; where two meet, the nearest wins, and none loses a voxel.

    Args:
        radius: largest distance between the centres of a new voxel and of the object's nearest voxel, physical length;
            a radius below the spacing along an axis adds nothing along it.
        spacing: nominal spacing; `None` takes it from the MetaTensor.

    Raises:
        ValueError: when `radius` is no length above zero.
    """

    unknown_value = UNKNOWN_LABEL

    def __init__(self, radius: float, *, spacing: Sequence[float] | None = None) -> None:
        super().__init__(spacing)
        self.radius = check_length("radius", radius)

    def derive(self, label: Label) -> NDArray[np.int64]:
        """Label 1 D H W (or 1 H W), int64: ids, 0, and -1 where the label is unknown."""
        return dilate(label.ids, label.spacing, self.radius)[None]  # D H W -> 1 D H W


class DilateLabeld(LabelTransformd):
    """Dictionary form of `DilateLabel`.

    Args:
        keys: keys of the labels.
        output_keys: where the grown labels go, one per key; `None`: in place.
        radius, spacing: see `DilateLabel`.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_keys: KeysCollection | None = None,
        *,
        radius: float,
        spacing: Sequence[float] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, output_keys, DilateLabel(radius, spacing=spacing), allow_missing_keys)
