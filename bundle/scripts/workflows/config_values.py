"""Small values that the configs derive from their tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from ..geometry import IMAGE_KEY, stored_keys
from ..patches import open_images

T = TypeVar("T")


def sample_keys(targets: Mapping[str, Any]) -> list[str]:
    """Keys that are loaded for each sample: the image, then what the targets are read or derived from, and masks."""
    return [IMAGE_KEY, *stored_keys(targets)]


def common_spacing(volumes: Sequence[Mapping[str, Any]]) -> list[float]:
    """Median voxel size z, y, x at which the volumes' images are read: the one that the network is planned for."""
    spacings = [open_images(volume)[0].spacing for volume in volumes]
    return [float(value) for value in np.median(spacings, axis=0)]


def at_most(data: Sequence[T], count: int) -> list[T]:
    """At most `count` items, evenly spread over the whole list."""
    if len(data) <= count:
        return list(data)
    return [data[i] for i in np.linspace(0, len(data) - 1, count).round().astype(int)]
