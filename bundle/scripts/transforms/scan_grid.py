"""From the grid on which a scan was predicted back to the voxels of its file."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import MetaKeys, convert_to_tensor

from ..volumes import Volume
from ..volumes.nifti_writer import nifti_affine

STORED_AFFINE = "stored_affine"
"""Meta entry: 4 x 4 from index (z, y, x) of the stored array to position, where an image may be resampled."""


def scan_meta(stored: Volume) -> dict[str, Any]:
    """What the meta of an image says about the file it comes from, in the file's own axes x, y, z as MONAI has it.

    Args:
        stored: the scan, not resampled.

    Returns:
        `spatial_shape` (x, y, z), `original_affine` (4 x 4, from index x y z to NIfTI's position) and `stored_affine`.
    """
    return {
        MetaKeys.SPATIAL_SHAPE: np.array(stored.spatial_shape[::-1]),  # z y x -> x y z
        MetaKeys.ORIGINAL_AFFINE: nifti_affine(stored),
        STORED_AFFINE: stored.affine,
    }


def to_scan_grid(label: torch.Tensor, affine: torch.Tensor, meta: Mapping[str, Any]) -> torch.Tensor:
    """Bring a label onto the voxels of the scan's file, and into the order of their axes.

    Each voxel of the file gets the label of the voxel that holds its centre, or of the nearest one beyond the border.
    Scans that were not resampled keep every voxel as it is.

    Args:
        label: C D H W.
        affine: 4 x 4, from its index (z, y, x) to position, without rotation.
        meta: with the entries of `scan_meta`.

    Returns:
        C W H D: axes x, y, z of the file.
    """
    shape = [int(n) for n in meta[MetaKeys.SPATIAL_SHAPE]][::-1]  # x y z -> z y x
    steps = np.linalg.inv(np.asarray(affine, np.float64)) @ np.asarray(meta[STORED_AFFINE], np.float64)
    if list(label.shape[1:]) != shape or not np.allclose(steps, np.eye(4), atol=1e-4):
        # axis by axis: MONAI's SpatialResample would hold three coordinates of every voxel
        for axis, extent in enumerate(shape):
            place = steps[axis, axis] * np.arange(extent) + steps[axis, 3]
            nearest = np.clip(np.floor(place + 0.5), 0, label.shape[axis + 1] - 1).astype(np.int64)
            label = label.index_select(axis + 1, torch.from_numpy(nearest).to(label.device))
    return label.permute(0, 3, 2, 1).contiguous()  # C D H W -> C W H D


class ToScanGridd(MapTransform):
    """Bring labels onto the voxels of the scan that was predicted; each gets the scan's affine.

    For programs that write the result themselves, such as MONAI Label.

    Args:
        keys: labels C D H W.
        image_key: the scan that `OpenVolumed` read into memory.
        allow_missing_keys: whether a sample may lack a key.

    Raises:
        ValueError: where the image's meta does not say what file it comes from.
    """

    def __init__(self, keys: KeysCollection, image_key: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        sample = dict(data)
        image = sample[self.image_key]
        missing = _missing(image)
        if missing:
            raise ValueError(
                f"'{self.image_key}' does not say what file it comes from (no {', '.join(missing)} in its meta): read "
                "it with OpenVolumed, lazy = false"
            )
        for key in self.key_iterator(sample):
            label = torch.as_tensor(convert_to_tensor(sample[key], track_meta=False))
            turned = to_scan_grid(label, image.affine, image.meta)
            sample[key] = MetaTensor(turned, affine=torch.as_tensor(image.meta[MetaKeys.ORIGINAL_AFFINE]))
        return sample


def _missing(image: Any) -> Sequence[str]:
    meta = image.meta if isinstance(image, MetaTensor) else {}
    return [str(name) for name in (MetaKeys.SPATIAL_SHAPE, MetaKeys.ORIGINAL_AFFINE, STORED_AFFINE) if name not in meta]
