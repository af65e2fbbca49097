"""As what a volume is shown: image, probability, labels, instances or normals."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np

from ..geometry import Kind, did_you_mean
from ..volumes import Volume

_SAMPLE_EDGE = 96
"""Longest edge of the box of voxels that is looked at."""

_PIECEWISE_CONSTANT = 0.8
"""Share of neighbouring voxels, both not 0, that hold the same number: above 0.95 in labels, below 0.35 in images."""

_MOST_CLASSES = 16

_OF_VALUES = {"probability": "probability", "class": "labels", "mask": "labels"}
"""Layer kind of what inference says that a prediction's values are."""


class LayerKind(StrEnum):
    """As what a layer is shown."""

    IMAGE = "image"
    PROBABILITY = "probability"
    LABELS = "labels"
    INSTANCES = "instances"
    NORMALS = "normals"

    @property
    def is_segmentation(self) -> bool:
        """Whether each number stands for a thing of its own."""
        return self in (LayerKind.LABELS, LayerKind.INSTANCES)


def layer_kind(volume: Volume, coarsest: Volume) -> LayerKind:
    """Find the kind of a volume, from what its store says, else from the type and the numbers.

    What inference writes says it. Else vectors known by their encoding are normals, and integers that stand for a value
    between 0 and 1 are probabilities. OME-Zarr's image labels, pyramids made by the most frequent value, bool, and
    integers of more than 16 bits are segmentations; smaller integers are where most neighbours are equal. A
    segmentation of at most 16 numbers below 256 is labels (classes), others are instances. All else is an image.

    Args:
        volume: of which at most 96 voxels along each axis are read, around the middle.
        coarsest: its coarsest level, of which as many are read.
    """
    about = volume.attributes.get("polytome")
    about = about if isinstance(about, dict) else {}
    directional = about.get("kind") in (Kind.NORMAL, Kind.VECTOR)
    if volume.channels == 3 and (directional or (volume.encoding is not None and volume.encoding.zero_is_missing)):
        return LayerKind.NORMALS
    if about.get("values") in _OF_VALUES:
        return LayerKind(_OF_VALUES[about["values"]])
    if volume.encoding is not None:
        return LayerKind.PROBABILITY if _is_share(volume) else LayerKind.IMAGE
    if volume.dtype.kind == "f":
        return LayerKind.IMAGE
    is_large = volume.dtype.itemsize > 2
    if not (volume.dtype.kind == "b" or is_large or _is_called_labels(volume) or _is_constant(volume, coarsest)):
        return LayerKind.IMAGE
    numbers = np.unique(middle(coarsest))
    few = np.count_nonzero(numbers) <= _MOST_CLASSES and int(numbers[-1]) < 256
    return LayerKind.LABELS if few else LayerKind.INSTANCES


def checked_kind(kind: Any, volume: Volume, name: str) -> LayerKind:
    """Check a kind that somebody asks for.

    Args:
        kind: its name.
        volume: what is to be shown so.
        name: of the layer, for errors.

    Raises:
        ValueError: for a name that is no kind, and for a kind that the volume cannot be.
    """
    known = [str(member) for member in LayerKind]
    if kind not in known:
        raise ValueError(f"kinds: {name}: expected one of {', '.join(known)}, got {kind!r}{did_you_mean(kind, known)}")
    wanted = LayerKind(kind)
    if wanted.is_segmentation and volume.dtype.kind not in "biu":
        raise ValueError(f"kinds: {name}: {wanted} are whole numbers, but {volume.path} holds {volume.dtype}")
    if wanted is LayerKind.NORMALS and volume.channels != 3:
        raise ValueError(f"kinds: {name}: normals have 3 channels (z, y, x), but {volume.path} has {volume.channels}")
    return wanted


def middle(volume: Volume) -> np.ndarray:
    """Voxels D H W around the middle, at most 96 along each axis, of the first channel."""
    size = [min(n, _SAMPLE_EDGE) for n in volume.spatial_shape]
    start = [(n - s) // 2 for n, s in zip(volume.spatial_shape, size, strict=True)]
    return volume.read(start, size, channels=[0])[0]  # C D H W -> D H W


def _is_share(volume: Volume) -> bool:
    """Whether the type's numbers are encoded values from 0 to 1."""
    if volume.encoding is None or volume.dtype.kind not in "iu":
        return False
    limits = np.iinfo(volume.dtype)
    low, high = (n * volume.encoding.scale + volume.encoding.offset for n in (limits.min, limits.max))
    return abs(low) < 1e-3 and abs(high - 1) < 1e-3


def _is_called_labels(volume: Volume) -> bool:
    content = volume.attributes.get("ome", volume.attributes)
    if not isinstance(content, dict):
        return False
    return "image-label" in content or any(entry.get("type") == "mode" for entry in content.get("multiscales", ()))


def _is_constant(*volumes: Volume) -> bool:
    """Whether most neighbours along x, both not 0, are equal; in the first volume that has such neighbours."""
    for volume in volumes:
        sample = middle(volume)
        left, right = sample[..., :-1], sample[..., 1:]
        pairs = (left != 0) & (right != 0)
        if pairs.any():
            return bool((left == right)[pairs].mean() > _PIECEWISE_CONSTANT)
    return False
