"""Distance to the boundary of labelled objects, as a target for regression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from monai.config import KeysCollection
from numpy.typing import NDArray

from ..geometry.fields import signed_distance
from .labels import Label, LabelTransform, LabelTransformd, check_choice, check_length

_MODES = ("signed", "inside", "outside")


class LabelToDistance(LabelTransform):
    """Physical distance of each voxel to the boundary of the foreground.

    The boundary runs midway between neighbouring voxels: a voxel beside the boundary has half a spacing, not zero. What
    lies outside the patch is not known, so an object that the patch cuts has no boundary there. Where the whole patch
    holds no boundary at all, the distance is `clip` where that is given and NaN (unknown) otherwise. Belongs after
    the spatial transforms, since a zoom would scale distances.

    Args:
        mode: `"signed"`: positive inside, negative outside; `"inside"`: zero outside; `"outside"`: positive
            outside, zero inside.
        per_instance: whether distances inside are to the nearest voxel of any other id, which parts touching objects.
        clip: largest distance, physical length; signed distances end at -clip and clip.
        normalize: whether to divide by `clip`, so that values lie in [-1, 1].
        spacing: nominal spacing; `None` takes it from the MetaTensor.

    Raises:
        ValueError: when an option is not one of those, or `normalize` is set without `clip`.
    """

    def __init__(
        self,
        mode: str = "signed",
        *,
        per_instance: bool = False,
        clip: float | None = None,
        normalize: bool = False,
        spacing: Sequence[float] | None = None,
    ) -> None:
        super().__init__(spacing)
        self.mode = check_choice("mode", mode, _MODES)
        self.per_instance = per_instance
        self.clip = None if clip is None else check_length("clip", clip)
        if normalize and self.clip is None:
            raise ValueError("normalize=True divides by clip, but clip is None; give clip, a physical length")
        self.normalize = normalize

    def derive(self, label: Label) -> NDArray[np.float32]:
        """Distances 1 D H W (or 1 H W), float32; NaN where the label is unknown."""
        distance = signed_distance(label.ids, label.spacing, self.per_instance)
        if self.clip is not None:
            farthest = np.where(label.ids > 0, self.clip, -self.clip)
            distance = np.where(np.isnan(distance), farthest, distance).clip(-self.clip, self.clip)
            if self.normalize:
                distance = distance / self.clip
        if self.mode == "inside":
            distance = np.where(label.ids > 0, distance, 0)
        elif self.mode == "outside":
            distance = np.where(label.ids > 0, 0, -distance)
        return distance[None].astype(np.float32)  # D H W -> 1 D H W


class LabelToDistanced(LabelTransformd):
    """Dictionary form of `LabelToDistance`.

    Args:
        keys: keys of the labels.
        output_keys: where the distances go, one per key; `None`: in place.
        mode, per_instance, clip, normalize, spacing: see `LabelToDistance`.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_keys: KeysCollection | None = None,
        mode: str = "signed",
        *,
        per_instance: bool = False,
        clip: float | None = None,
        normalize: bool = False,
        spacing: Sequence[float] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        transform = LabelToDistance(mode, per_instance=per_instance, clip=clip, normalize=normalize, spacing=spacing)
        super().__init__(keys, output_keys, transform, allow_missing_keys)
