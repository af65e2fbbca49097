"""Volumes for MONAI's `LoadImage`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.data import ImageReader
from monai.utils import MetaKeys, ensure_tuple

from .paths import repair_url, split_level
from .volume import Volume, open_volume

_SUFFIXES = (".zarr", ".nii", ".nii.gz", ".tif", ".tiff", ".npy", ".npz", ".png", ".dcm")


class ZarrReader(ImageReader):
    """Reads a whole volume of any format that `open_volume` knows: `LoadImaged(keys, reader=ZarrReader())`.

    The array is C D H W (D H W for one channel) in array order z, y, x, never transposed, and `affine` maps the array
    index (z, y, x) to position. An encoding in the attributes is decoded. Several paths are stacked as channels.

    Args:
        level: pyramid level, see `open_volume`.
        spacing: picks the nearest pyramid level, see `open_volume`.
    """

    def __init__(self, level: int | None = None, spacing: Sequence[float] | None = None) -> None:
        self.level, self.spacing = level, spacing

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Whether all names are volumes by their suffix, or lie within a folder `*.zarr`."""
        names = [split_level(str(name).rstrip("/"))[0] for name in ensure_tuple(filename)]
        return all(name.lower().endswith(_SUFFIXES) or ".zarr/" in name for name in names)

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> list[Volume]:
        """Open one or several volumes.

        Args:
            data: path or paths.
            kwargs: `level` and `spacing`, in place of the reader's own.
        """
        options = {"level": self.level, "spacing": self.spacing} | kwargs
        # LoadImage sends every name through pathlib, which eats one slash of a URL.
        paths = [repair_url(str(name)) for name in ensure_tuple(data)]
        return [open_volume(path, **options) for path in paths]

    def get_data(self, img: Sequence[Volume] | Volume) -> tuple[np.ndarray, dict[str, Any]]:
        """Read the voxels.

        Returns:
            array C D H W, or D H W where there is one channel, and its meta data.

        Raises:
            ValueError: where several volumes have different shapes or geometries.
        """
        volumes = list(ensure_tuple(img))
        first = volumes[0]
        for other in volumes[1:]:
            if other.spatial_shape != first.spatial_shape or not np.allclose(other.affine, first.affine):
                raise ValueError(
                    f"volumes to be stacked as channels differ: {first!r} and {other!r}; "
                    "expected the same shape, spacing and translation"
                )
        array = np.concatenate([_values(volume) for volume in volumes])  # C D H W
        single = array.shape[0] == 1
        meta: dict[str, Any] = {
            MetaKeys.AFFINE: first.affine,
            MetaKeys.ORIGINAL_AFFINE: first.affine,
            MetaKeys.SPATIAL_SHAPE: np.asarray(first.spatial_shape),
            MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan") if single else 0,
            "unit": first.unit or "",
        }
        return (array[0] if single else array), meta


def _values(volume: Volume) -> np.ndarray:
    raw = volume.read((0, 0, 0), volume.spatial_shape)
    return raw if volume.encoding is None else volume.decode(raw)
