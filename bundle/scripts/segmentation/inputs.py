"""What all functions of this room ask of their arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.affinities import check_offsets

Array = NDArray[Any]


def check_labels(labels: Any, name: str = "labels") -> Array:
    """Return an array of ids as whole numbers; booleans become uint8, nothing else is copied.

    Raises:
        TypeError: when the dtype holds no whole numbers.
        ValueError: when there is a channel axis, or an id below 0.
    """
    array = check_spatial(labels, name)
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"{name} must hold whole numbers in an integer dtype, got {array.dtype}, which loses large ids; write "
            f"ids as integers, and turn what is whole by {name}.astype('uint32')"
        )
    if array.dtype.kind == "i" and array.size and array.min() < 0:
        raise ValueError(f"{name} must not be below 0 (0 is background), got {array.min()}; set unknown voxels to 0")
    return array


def check_mask(mask: Any, shape: tuple[int, ...], name: str = "mask") -> NDArray[np.bool_]:
    """Return a boolean array of the given shape; whole numbers count as true where they are not 0.

    Raises:
        TypeError: when the dtype is neither boolean nor integer.
        ValueError: when the shape is another one.
    """
    array = np.asarray(mask)
    if array.dtype.kind not in "biu":
        raise TypeError(f"{name} must be boolean, got {array.dtype}; compare it with a threshold first")
    check_same_shape(array.shape, shape, name)
    return array.astype(bool, copy=False)


def check_spatial(array: Any, name: str) -> Array:
    """Return an array with spatial axes only.

    Raises:
        ValueError: when it has other axes than D H W or H W.
    """
    checked = np.asarray(array)
    if checked.ndim not in (2, 3):
        raise ValueError(f"{name} must have shape D H W or H W, without channel axis; got {checked.shape}")
    return checked


def check_same_shape(shape: tuple[int, ...], expected: tuple[int, ...], name: str) -> None:
    """Check that two arrays lie on the same grid.

    Raises:
        ValueError: when their shapes differ.
    """
    if tuple(shape) != tuple(expected):
        raise ValueError(f"{name} has shape {tuple(shape)}, but the array that it belongs to has {tuple(expected)}")


def check_connectivity(connectivity: int, ndim: int) -> int:
    """Return a connectivity: along how many axes neighbours may differ (3D: 1 = 6, 2 = 18, 3 = 26 neighbours).

    Raises:
        ValueError: when it is not a whole number from 1 to `ndim`.
    """
    if isinstance(connectivity, bool) or connectivity not in range(1, ndim + 1):
        neighbours = "1, 2 or 3 (6, 18 or 26 neighbours)" if ndim == 3 else "1 or 2 (4 or 8 neighbours)"
        raise ValueError(f"connectivity must be {neighbours} in {ndim}D, got {connectivity!r}")
    return int(connectivity)


def check_affinities(affinities: Any, offsets: Sequence[Sequence[int]]) -> tuple[Array, tuple[tuple[int, ...], ...]]:
    """Return affinities K D H W (or K H W) and their K offsets.

    Raises:
        TypeError: when the affinities are integers.
        ValueError: when they are not within 0..1, or there are not as many channels as offsets.
    """
    array = np.asarray(affinities)
    if array.ndim not in (3, 4):
        raise ValueError(f"affinities must have shape K D H W or K H W, got {array.shape}")
    checked = check_offsets(offsets, array.ndim - 1)
    if len(checked) != len(array):
        raise ValueError(f"affinities have {len(array)} channels, but there are {len(checked)} offsets")
    return check_probability(array, "affinities"), checked


def check_probability(values: Any, name: str) -> Array:
    """Return an array of numbers from 0 to 1; booleans become float32.

    Raises:
        TypeError: when the dtype is an integer.
        ValueError: when a value is below 0, above 1 or NaN.
    """
    array = np.asarray(values)
    if array.dtype.kind == "b":
        return array.astype(np.float32)
    if array.dtype.kind != "f":
        raise TypeError(
            f"{name} must be floats from 0 to 1, got {array.dtype}; divide stored uint8 values by 255 first"
        )
    if array.size:
        lowest, highest = array.min(), array.max()
        if not (lowest >= 0 and highest <= 1):  # true for NaN, too
            raise ValueError(
                f"{name} must lie within 0 and 1, got {lowest:g} to {highest:g}; apply the sigmoid to logits first"
            )
    return array


def check_length(value: float, name: str) -> float:
    """Return a physical length or a number of voxels that may be 0.

    Raises:
        ValueError: when it is not a finite number from 0 on.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be a finite number from 0 on, got {value!r}")
    return float(value)
