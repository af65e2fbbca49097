"""Affinities between the voxels of labelled objects, as a target."""

from __future__ import annotations

import numpy as np
from monai.config import KeysCollection
from numpy.typing import NDArray

from ..geometry.affinities import Offsets, affinities_of, check_offsets, direct_offsets
from ..geometry.targets import UNKNOWN_LABEL
from .labels import Label, LabelTransform, LabelTransformd


class LabelToAffinities(LabelTransform):
    """Affinity of each voxel to others at fixed offsets: 1 = same object, 0 = another one or background.

    It belongs after the spatial transforms: offsets are along the axes of the patch as it then is. Long offsets show
    the network which objects are parted by a thin gap (Lee et al. 2017, "Superhuman accuracy on the SNEMI3D
    connectomics challenge").

    Args:
        offsets: steps in voxels along each axis, one per channel; `None`: to the next voxel along each axis.

    Raises:
        ValueError: when an offset does not have one step per axis, or is 0 along all.
    """

    unknown_value = UNKNOWN_LABEL
    needs_spacing = False

    def __init__(self, offsets: Offsets | None = None) -> None:
        super().__init__()
        self.offsets = None if offsets is None else check_offsets(offsets, len(next(iter(offsets), ())))

    def derive(self, label: Label) -> NDArray[np.int8]:
        """Affinities K D H W (or K H W), int8: 1, 0, and -1 where one of both voxels is unknown or outside."""
        dims = label.ids.ndim
        offsets = direct_offsets(dims) if self.offsets is None else check_offsets(self.offsets, dims)
        return affinities_of(label.ids, ~label.unknown, offsets)


class LabelToAffinitiesd(LabelTransformd):
    """Dictionary form of `LabelToAffinities`.

    Args:
        keys: keys of the labels.
        output_keys: where the affinities go, one per key; `None`: in place.
        offsets: see `LabelToAffinities`.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_keys: KeysCollection | None = None,
        offsets: Offsets | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, output_keys, LabelToAffinities(offsets), allow_missing_keys)
