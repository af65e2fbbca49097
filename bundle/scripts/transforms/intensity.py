"""Normalisation of image intensities, by the name of a scheme."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_tensor

from ..volumes import Volume, value_statistics, volume_statistics

SCHEMES = {
    "zscore": "mean 0 and standard deviation 1 in each patch",
    "zscore_volume": "by the mean and standard deviation of the whole volume",
    "ct": "clipped to percentiles 0.5 and 99.5 of the labelled voxels of all volumes, then by their mean and deviation",
    "percentile": "percentiles 0.5 and 99.5 of the volume become 0 and 1, clipped",
    "min_max": "smallest and largest value of the volume become 0 and 1, clipped",
    "dtype_range": "the range of the stored integer type becomes 0 to 1",
    "none": "as stored",
}
"""What each scheme does."""

ERROR = "error"

STATISTICS = "statistics"
"""Meta entry of an image in memory: `volume_statistics` of the volume that it was read from."""


class NormalizeImage(Transform):
    """Normalise an image C D H W, channel by channel.

    `"zscore"` is MONAI's `NormalizeIntensity(channel_wise=True)`; `"ct"` and `"zscore_volume"` are the two schemes of
    nnU-Net. Schemes that look at more than the patch need `statistics`, or `bind`.

    Args:
        scheme: one of `SCHEMES`.
        statistics: what `scripts.patches.image_statistics` returned for the scheme.
        nonfinite: what NaN and infinity become after normalisation, or "error".

    Raises:
        ValueError: for an unknown scheme.
    """

    def __init__(
        self, scheme: str = "zscore", statistics: Mapping[str, Any] | None = None, nonfinite: float | str = 0.0
    ) -> None:
        if scheme not in SCHEMES:
            raise ValueError(f"normalization must be one of {', '.join(SCHEMES)}; got {scheme!r}")
        if nonfinite != ERROR and not isinstance(nonfinite, (int, float)):
            raise ValueError(f"nonfinite must be a number or '{ERROR}'; got {nonfinite!r}")
        self.scheme = scheme
        self.statistics = dict(statistics) if statistics else {}
        self.nonfinite = nonfinite

    def bind(self, image: Volume | torch.Tensor) -> NormalizeImage:
        """The same normalisation by the statistics of one image: a volume, or a tensor C D H W that is all of it.

        A tensor's meta may hold the statistics of the volume that it was read from, as `OpenVolumed` leaves them.

        Raises:
            ValueError: if the scheme asks for a tensor's stored type, which its meta does not tell, or for the
                foreground's statistics, which only training knows.
        """
        if self.scheme == "ct":
            self._found(0)
        if self.scheme in ("zscore", "none", "ct"):
            return self
        if isinstance(image, Volume):
            found: dict[str, Any] = volume_statistics(image)
        elif isinstance(image, MetaTensor) and STATISTICS in image.meta:
            found = image.meta[STATISTICS]
        elif self.scheme == "dtype_range":
            raise ValueError("scheme 'dtype_range' needs the stored type, which an image in memory does not have")
        else:
            found = value_statistics(image.detach().cpu().numpy().reshape(len(image), -1))  # C D H W -> C N
        return NormalizeImage(self.scheme, {"volumes": [found], "foreground": None}, self.nonfinite)

    def __call__(self, image: torch.Tensor, volume: int = 0, start: Sequence[int] = (0, 0, 0)) -> torch.Tensor:
        """
        Args:
            image: C D H W, float.
            volume: index of its volume in the statistics.
            start: first voxel of the image in its volume, for messages.

        Raises:
            ValueError: where statistics are missing or are those of another number of channels, or for NaN or infinity
                where `nonfinite` is "error".
        """
        values = torch.as_tensor(convert_to_tensor(image, track_meta=False))
        finite = torch.isfinite(values)
        if (n_bad := values.numel() - int(finite.sum())) and self.nonfinite == ERROR:
            place = (~finite).nonzero()[0, 1:].tolist()  # C D H W
            voxel = [int(first) + n for first, n in zip(start, place, strict=True)]
            raise ValueError(
                f"{n_bad} voxels are NaN or infinite, the first at {voxel} (z y x); repair the image, or give the "
                "value that they take after normalisation as 'nonfinite'"
            )
        if self.scheme == "none":
            done = values.clone()
        else:
            shift, scale, limits = self._numbers(values, finite if n_bad else None, volume)
            clipped = (
                values if limits is None else torch.clamp(values, *(_column(numbers, values) for numbers in limits))
            )
            done = (clipped - _column(shift, values)) / _column(scale, values)
        if n_bad:
            done[~finite] = float(self.nonfinite)
        return convert_to_dst_type(done, image)[0]

    def _numbers(self, image: torch.Tensor, finite: torch.Tensor | None, volume: int) -> tuple[Any, Any, Any]:
        """Shift, scale, and limits before both (or `None`), one number per channel each."""
        if self.scheme == "zscore":
            return *_mean_and_std(image, finite), None
        found = self._found(volume)
        known = len(found["dtype" if self.scheme == "dtype_range" else "mean"])
        if known != len(image):
            raise ValueError(f"the image has {len(image)} channels, its statistics are of {known}")
        if self.scheme == "dtype_range":
            limits = np.array([_type_range(name) for name in found["dtype"]])
            return limits[:, 0], limits[:, 1] - limits[:, 0], None
        if self.scheme == "zscore_volume":
            return found["mean"], _nonzero(found["std"], found["mean"]), None
        if self.scheme == "ct":
            return found["mean"], _nonzero(found["std"], found["mean"]), (found["low"], found["high"])
        low, high = (found[n] for n in (("low", "high") if self.scheme == "percentile" else ("minimum", "maximum")))
        return low, _nonzero(np.subtract(high, low)), (low, high)

    def _found(self, volume: int) -> Mapping[str, Any]:
        if self.scheme == "ct":
            found = self.statistics.get("foreground")
            if found is None:
                raise ValueError(
                    "scheme 'ct' needs the statistics of the labelled voxels; a training writes them into network.json"
                )
            return found
        rows = self.statistics.get("volumes") or []
        if not 0 <= volume < len(rows):
            raise ValueError(f"scheme '{self.scheme}' needs statistics of volume {volume}; there are {len(rows)}")
        return rows[volume]


class NormalizeImaged(MapTransform):
    """Dictionary form of `NormalizeImage`; the sample's `patch` says which volume it is from.

    Args:
        keys: images.
        scheme: as in `NormalizeImage`.
        statistics: as in `NormalizeImage`.
        nonfinite: as in `NormalizeImage`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        scheme: str = "zscore",
        statistics: Mapping[str, Any] | None = None,
        nonfinite: float | str = 0.0,
    ) -> None:
        super().__init__(keys)
        self.normalize = NormalizeImage(scheme, statistics, nonfinite)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        sample = dict(data)
        patch = sample.get("patch") or {}
        start = [int(n) for n in patch.get("start", (0, 0, 0))]
        for key in self.keys:
            try:
                sample[key] = self.normalize(sample[key], int(patch.get("volume", 0)), start)
            except ValueError as error:
                meta = getattr(sample[key], "meta", {})
                raise ValueError(f"{meta.get('filename_or_obj', key)}, patch at {start}: {error}") from None
        return sample


def _column(numbers: Any, image: torch.Tensor) -> torch.Tensor:
    """One number per channel, shaped to be combined with an image: C -> C 1 1 1."""
    column = torch.as_tensor(numbers, dtype=torch.float32, device=image.device)
    return column.reshape(-1, *[1] * (image.ndim - 1))


def _mean_and_std(image: torch.Tensor, finite: torch.Tensor | None) -> tuple[torch.Tensor, np.ndarray]:
    """Mean and standard deviation of each channel's finite values; 0 and 1 where there are none."""
    flat = image.reshape(len(image), -1)  # C D H W -> C N
    if finite is None:
        std, mean = torch.std_mean(flat, dim=1, correction=0)
        return mean, _nonzero(std, mean)
    counted = finite.reshape(len(image), -1)
    number = counted.sum(dim=1).clamp(min=1)
    mean = torch.where(counted, flat, 0).sum(dim=1, dtype=torch.float64) / number
    variance = torch.where(counted, flat - mean[:, None], 0).square().sum(dim=1) / number
    return mean.float(), _nonzero(variance.sqrt(), mean)


def _nonzero(scale: Any, centre: Any = 0.0) -> np.ndarray:
    """Scales of constant images become 1; rounding alone makes a deviation, of which nothing must be made.

    Args:
        scale: of each channel.
        centre: mean of each channel, which float32 knows to 7 digits.
    """
    numbers = np.asarray(scale, np.float64)
    return np.where(numbers > np.finfo(np.float32).eps * np.abs(np.asarray(centre)), numbers, 1.0)


def _type_range(name: str) -> tuple[float, float]:
    dtype = np.dtype(name)
    if dtype.kind == "b":
        return 0.0, 1.0
    if dtype.kind == "f":
        raise ValueError(f"scheme 'dtype_range': the image is stored as {name}, which has no range; use 'percentile'")
    limits = np.iinfo(dtype)
    return float(limits.min), float(limits.max)
