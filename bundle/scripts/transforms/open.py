"""Open a whole volume for inference, lazily or in memory."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from ..volumes import open_image, volume_statistics
from .intensity import STATISTICS
from .scan_grid import scan_meta


class OpenVolumed(MapTransform):
    """Turn paths into volumes that are read window by window, or into tensors.

    A sample's `name`, where it has one, becomes the name of its volumes, which `{name}` of an inference's `output`
    stands for.

    A tensor's meta holds the volume's statistics, by which `NormalizeImage` then normalises as if it were streamed, and
    what `ToScanGridd` needs to lay a label over the file's voxels.

    Args:
        keys: keys that hold a path, or paths of volumes on one grid, which are stacked as channels.
        lazy: leave the voxels in the store and hand over a `Volume`, which `ZarrSlidingWindowInferer` streams; false
            reads everything into a MetaTensor C D H W float32 with the volume's affine.
        spacing: voxel size z, y, x at which the voxels are read, interpolated from the nearest level that is as fine;
            `None`: as stored.
        in_memory_key: samples that have this key are read into memory, whatever `lazy` says. MONAI Label, which wants
            tensors, gives its samples the key `image_path`.

    Raises:
        FileNotFoundError: if there is nothing at the path.
        TypeError: for anything but paths.
    """

    def __init__(
        self,
        keys: KeysCollection,
        lazy: bool = True,
        spacing: Sequence[float] | None = None,
        in_memory_key: str | None = None,
    ) -> None:
        super().__init__(keys)
        self.spacing = spacing
        self.is_lazy = lazy
        self.in_memory_key = in_memory_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        sample = dict(data)
        is_lazy = self.is_lazy and (self.in_memory_key is None or self.in_memory_key not in sample)
        for key in self.keys:
            several = sample[key] if isinstance(sample[key], (list, tuple)) else [sample[key]]
            if not several or not all(isinstance(path, (str, Path)) for path in several):
                raise TypeError(f"'{key}' must be the path of a volume, or a list of paths; got {sample[key]!r}")
            volume = open_image(several, self.spacing)
            if is_lazy:
                volume.name = sample.get("name", volume.name)
                sample[key] = volume
                continue
            array = volume.read((0, 0, 0), volume.spatial_shape).astype(np.float32)  # C D H W
            affine = torch.from_numpy(np.array(volume.affine, np.float64))
            stored = volume if self.spacing is None else open_image(several)
            meta = {"filename_or_obj": volume.path, STATISTICS: volume_statistics(volume), **scan_meta(stored)}
            sample[key] = MetaTensor(torch.from_numpy(array), affine=affine, meta=meta)
        return sample
