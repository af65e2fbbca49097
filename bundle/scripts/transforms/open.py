"""Open a whole volume for inference, lazily or in memory."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from ..volumes import open_resampled


class OpenVolumed(MapTransform):
    """Turn paths into volumes that are read window by window, or into tensors.

    A sample's `name`, where it has one, becomes the name of its volumes, which `{name}` of an inference's `output`
    stands for.

    Args:
        keys: keys that hold paths.
        lazy: leave the voxels in the store and hand over a `Volume`, which `ZarrSlidingWindowInferer` streams; false
            reads everything into a MetaTensor C D H W float32 with the volume's affine.
        spacing: voxel size z, y, x at which the voxels are read, interpolated from the nearest level that is as fine;
            `None`: as stored.

    Raises:
        FileNotFoundError: if there is nothing at the path.
    """

    def __init__(self, keys: KeysCollection, lazy: bool = True, spacing: Sequence[float] | None = None) -> None:
        super().__init__(keys)
        self.spacing = spacing
        self.is_lazy = lazy

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        sample = dict(data)
        for key in self.keys:
            volume = open_resampled(sample[key], self.spacing, "linear")
            if self.is_lazy:
                volume.name = sample.get("name", volume.name)
                sample[key] = volume
                continue
            array = volume.read((0, 0, 0), volume.spatial_shape).astype(np.float32)  # C D H W
            affine = torch.from_numpy(np.array(volume.affine, np.float64))
            sample[key] = MetaTensor(torch.from_numpy(array), affine=affine, meta={"filename_or_obj": volume.path})
        return sample
