"""What values an image holds, from all of it where it is small, from random boxes of it where it is not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .stacked import StackedVolume
from .volume import Triplet, Volume

Statistics = dict[str, list[Any]]

PERCENTILES = (0.5, 99.5)

_MOST_VOXELS = 2**23
_BOXES = 128


def volume_statistics(volume: Volume, seed: int = 0) -> Statistics:
    """Mean, standard deviation, extremes and percentiles of an image, per channel.

    What the store leaves out does not count, and neither do NaN and infinity. Of more than 8 million stored voxels,
    random boxes of that many together are read.

    Args:
        volume: the image.
        seed: of the choice of boxes.

    Returns:
        `mean`, `std`, `minimum`, `maximum`, `low` and `high` (percentiles 0.5 and 99.5), `dtype`: each a list with one
        entry per channel.
    """
    if isinstance(volume, StackedVolume):  # each part by what its own store holds
        of_parts = [volume_statistics(part, seed) for part in volume.parts]
        return {name: [value for part in of_parts for value in part[name]] for name in of_parts[0]}
    blocks = [volume.read(*box).reshape(volume.channels, -1) for box in _boxes(volume, seed)]  # C D H W -> C N
    found = value_statistics(np.concatenate(blocks, axis=1))
    return {**found, "dtype": [str(volume.stored_dtype)] * volume.channels}


def value_statistics(values: np.ndarray) -> Statistics:
    """The same numbers, without `dtype`, of values C N.

    Raises:
        ValueError: if a channel holds no finite value.
    """
    rows = []
    for channel in values.astype(np.uint8) if values.dtype.kind == "b" else values:
        finite = channel[np.isfinite(channel)] if channel.dtype.kind == "f" else channel
        if len(finite) == 0:
            raise ValueError(f"expected finite values to normalise by; all of {channel.size} are NaN or infinite")
        low, high = np.percentile(finite, PERCENTILES)
        mean, std = finite.mean(dtype=np.float64), finite.std(dtype=np.float64)
        rows.append((mean, std, finite.min(), finite.max(), low, high))
    names = ("mean", "std", "minimum", "maximum", "low", "high")
    return {name: [float(row[i]) for row in rows] for i, name in enumerate(names)}


def _boxes(volume: Volume, seed: int) -> Iterator[tuple[Triplet, Triplet]]:
    """All stored boxes where they are small together; else parts of some of them."""
    try:
        stored = volume.stored_chunks()
    except OSError:  # a server that cannot list
        stored = []
    if not stored:
        stored = [((0, 0, 0), volume.spatial_shape)]
    limit = _MOST_VOXELS // volume.channels
    if sum(math.prod(size) for _, size in stored) <= limit:
        yield from stored
        return
    rng = np.random.default_rng(seed)
    for n in rng.choice(len(stored), _BOXES, replace=len(stored) < _BOXES):
        start, size = stored[n]
        part = _smaller(size, limit // _BOXES)
        low = [int(s + rng.integers(n - p + 1)) for s, n, p in zip(start, size, part, strict=True)]
        yield (low[0], low[1], low[2]), part


def _smaller(size: Triplet, most: int) -> Triplet:
    """A box within one of the given size, of at most `most` voxels, its longest axes shortened."""
    part = list(size)
    while math.prod(part) > most:
        axis = int(np.argmax(part))
        part[axis] = max(part[axis] // 2, 1)
    return part[0], part[1], part[2]
