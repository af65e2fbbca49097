"""Regions that may overlap, each a union of classes, as a target with a channel for each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from monai.config import KeysCollection
from numpy.typing import NDArray

from ..geometry.targets import UNKNOWN_LABEL
from .labels import Label, LabelTransform, LabelTransformd


class LabelToRegions(LabelTransform):
    """One channel for each region: 1 where the label is one of its classes.

    Train it as a label of several channels with the activation sigmoid: each region is then decided by itself, as
    nnU-Net's region-based training does for the nested parts of a brain tumour.

    Args:
        regions: the classes of each region, such as `[[1, 2, 3], [2, 3], [3]]`.
        ignore_label: value that stands for unknown, beside all negative ones.

    Raises:
        ValueError: for a region without classes.
    """

    unknown_value = UNKNOWN_LABEL
    needs_spacing = False

    def __init__(self, regions: Sequence[Sequence[int]], ignore_label: int | None = None) -> None:
        super().__init__()
        self.regions = [[int(value) for value in region] for region in regions]
        self.ignore_label = ignore_label
        if not self.regions or not all(self.regions):
            raise ValueError(f"regions must be lists of classes, such as [[1, 2], [2]]; got {regions}")

    def derive(self, label: Label) -> NDArray[np.int8]:
        """Regions R D H W (or R H W), int8: 1, 0, and -1 where the truth is unknown."""
        found = np.stack([np.isin(label.ids, region) for region in self.regions]).astype(np.int8)
        unknown = label.unknown if self.ignore_label is None else label.unknown | (label.ids == self.ignore_label)
        found[:, unknown] = UNKNOWN_LABEL
        return found


class LabelToRegionsd(LabelTransformd):
    """Dictionary form of `LabelToRegions`.

    Args:
        keys: keys of the labels.
        regions: see `LabelToRegions`.
        output_keys: where the regions go, one per key; `None`: in place.
        ignore_label: see `LabelToRegions`.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        regions: Sequence[Sequence[int]],
        output_keys: KeysCollection | None = None,
        ignore_label: int | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, output_keys, LabelToRegions(regions, ignore_label), allow_missing_keys)
