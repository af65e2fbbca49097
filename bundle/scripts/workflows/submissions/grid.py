"""A prediction on the grid of its truth, as CellMap's challenge resamples it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import rescale

logger = logging.getLogger(__name__)

_AT_A_VOXEL = 1e-3
"""Positions this near below the next voxel, in voxels, are at it; absorbs the rounding of stored positions."""

_SAME_SPACING = 1e-4


def to_truth_grid(
    prediction: NDArray[Any],
    spacing: Sequence[float] | None,
    translation: Sequence[float] | None,
    truth_shape: Sequence[int],
    truth_spacing: Sequence[float],
    truth_translation: Sequence[float],
    is_instance: bool,
) -> NDArray[Any]:
    """Resample a prediction to its truth's voxel size, and cut or pad it to the truth's box.

    The rule of the challenge, version 2026-06. Resampling keeps the array's outer edges; then voxel 0 is placed at the
    truth's voxel whose number is the difference of the translations over the truth's voxel size, rounded down. What the
    prediction does not cover is 0. Ids are taken from the voxel that holds the centre and keep their type, whatever
    their size. Masks are interpolated linearly (smoothed before, where they become coarser), and are what is above 0.5.

    Args:
        prediction: D H W. Instances: ids. Otherwise a mask, every whole number above 0 counts; or probabilities.
        spacing: its voxel size z, y, x; `None`: the truth's, and the middles of both are laid on each other.
        translation: position of its voxel 0; `None`: that of the truth.
        truth_shape: D, H, W.
        truth_spacing: voxel size z, y, x.
        truth_translation: position of voxel 0.
        is_instance: whether the values are ids.

    Returns:
        D H W of the truth: ids in the type of the prediction, or bool.

    Raises:
        TypeError: for ids that are floats.
        ValueError: for an array without exactly three axes, or a voxel size that is not positive.
    """
    array = np.asarray(prediction)
    if array.ndim != 3:
        raise ValueError(f"expected a prediction D H W; got shape {array.shape}")
    if is_instance and array.dtype.kind not in "biu":
        raise TypeError(f"instances are whole numbers; got {array.dtype}. Convert them, as by .astype('uint32')")
    if min(*truth_spacing, *(spacing or truth_spacing)) <= 0:
        raise ValueError(f"voxel sizes must be positive; got {spacing}, and {list(truth_spacing)} of the truth")
    shape = tuple(int(n) for n in truth_shape)
    if spacing is None:
        first = [_middle(n, m) for n, m in zip(array.shape, shape, strict=True)]
        return _cut(array if is_instance else as_mask(array), first, shape)
    factors = [have / want for have, want in zip(spacing, truth_spacing, strict=True)]
    if any(abs(factor - 1) > _SAME_SPACING for factor in factors):
        array = _nearest(array, factors) if is_instance else _linear(array, factors)
    elif not is_instance:
        array = as_mask(array)
    if translation is None:
        first = [0, 0, 0]
    else:
        steps = (np.asarray(translation, float) - np.asarray(truth_translation, float)) / np.asarray(
            truth_spacing, float
        )
        first = np.floor(steps + _AT_A_VOXEL).astype(int).tolist()
    return _cut(array, first, shape)


def as_mask(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a mask is set: whole numbers above 0, probabilities above 0.5."""
    return array > 0.5 if array.dtype.kind == "f" else array > 0


def _linear(array: NDArray[Any], factors: Sequence[float]) -> NDArray[np.bool_]:
    values = array.astype(np.float32) if array.dtype.kind == "f" else (array > 0).astype(np.float32)
    return rescale(values, factors, order=1, mode="constant", preserve_range=True) > 0.5


def _nearest(array: NDArray[Any], factors: Sequence[float]) -> NDArray[Any]:
    """Picked along each axis, so that ids never become floats."""
    for axis, (extent, factor) in enumerate(zip(array.shape, factors, strict=True)):
        count = max(round(extent * factor), 1)
        index = np.floor((np.arange(count) + 0.5) * extent / count).astype(int)
        array = array.take(np.minimum(index, extent - 1), axis=axis)
    return array


def _middle(extent: int, wanted: int) -> int:
    """First voxel of an array in a box around the same middle."""
    return (wanted - extent) // 2 if wanted > extent else -((extent - wanted) // 2)


def _cut(array: NDArray[Any], first: Sequence[int], shape: Sequence[int]) -> NDArray[Any]:
    """Lay an array into a box of zeros, its voxel 0 at `first`."""
    result = np.zeros(shape, array.dtype)
    target = [slice(max(at, 0), min(at + n, end)) for at, n, end in zip(first, array.shape, shape, strict=True)]
    if any(part.start >= part.stop for part in target):
        logger.warning(
            "a prediction of shape %s that begins at voxel %s of its truth lies outside of the truth's box %s",
            array.shape, list(first), list(shape),
        )  # fmt: skip
        return result
    source = [slice(part.start - at, part.stop - at) for part, at in zip(target, first, strict=True)]
    result[tuple(target)] = array[tuple(source)]
    return result
