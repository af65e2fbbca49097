"""Arrays of ids as they are given, checked and made comparable."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

Labels = ArrayLike | torch.Tensor
"""What takes the place of a label array: anything that NumPy can read, or a tensor on any device."""


def label_array(labels: Labels, name: str) -> NDArray[Any]:
    """An array of whole numbers, in the dtype that it came in; booleans become 0 and 1.

    Ids are never put into floats on the way: float32 holds whole numbers up to 2^24 only, and would merge objects.

    Args:
        labels: ids of any shape.
        name: what the error calls it.

    Raises:
        TypeError: for floats and everything else that is no id, with what to do.
    """
    array = _numpy(labels)
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} has dtype {array.dtype}; expected whole numbers as ids{_advice(array)}")
    return array


def label_pair(
    prediction: Labels, truth: Labels, known: Labels | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_] | None]:
    """Two label arrays of one shape, and where the truth is known.

    Raises:
        TypeError: for arrays that hold no ids, or a `known` that is not boolean.
        ValueError: when shapes differ.
    """
    predicted, true = label_array(prediction, "prediction"), label_array(truth, "truth")
    if predicted.shape != true.shape:
        raise ValueError(
            f"prediction has shape {predicted.shape}, but truth has {true.shape}; bring it onto the truth's grid first"
        )
    if known is None:
        return predicted, true, None
    mask = _numpy(known)
    if mask.dtype != np.bool_:
        raise TypeError(f"known has dtype {mask.dtype}; expected booleans, True where the truth is known")
    if mask.shape != true.shape:
        raise ValueError(f"known has shape {mask.shape}, but truth has {true.shape}")
    return predicted, true, mask


def check_ids(ids: NDArray[Any], name: str) -> None:
    """Check that no id is negative.

    Raises:
        ValueError: that names the smallest.
    """
    if len(ids) and ids.dtype.kind == "i" and ids.min() < 0:
        raise ValueError(
            f"{name} holds the id {ids.min()}; expected 0 (background) or more; voxels whose truth is unknown are left "
            "out by `known`, False where they are"
        )


def run_starts(*arrays: NDArray[Any]) -> NDArray[np.intp]:
    """Where runs of equal values begin in flat arrays of one length: in labels, far fewer places than voxels."""
    begins = np.zeros(arrays[0].size, dtype=bool)
    begins[:1] = True
    for array in arrays:
        begins[1:] |= array[1:] != array[:-1]
    return np.flatnonzero(begins)


def compact_ids(labels: NDArray[Any], name: str) -> tuple[NDArray[np.int32], int]:
    """Ids renamed to 1, 2, ... in the order in which they first occur; 0 stays 0.

    The result depends on the objects alone, not on what they were called.

    Returns:
        the renamed array, and the number of objects.

    Raises:
        ValueError: for a negative id.
    """
    flat = labels.reshape(-1)
    starts = run_starts(flat)
    ids, first, run = np.unique(flat[starts], return_index=True, return_inverse=True)
    check_ids(ids, name)
    objects = np.flatnonzero(ids)
    renamed = np.zeros(len(ids), dtype=np.int32)
    renamed[objects[np.argsort(first[objects])]] = np.arange(1, len(objects) + 1)
    return np.repeat(renamed[run], np.diff(starts, append=flat.size)).reshape(labels.shape), len(objects)


def _numpy(values: Labels) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def _advice(array: NDArray[Any]) -> str:
    if array.dtype.kind != "f":
        return ""
    others = array[~np.isfinite(array) | (array != np.trunc(array))]
    if others.size:
        return f"; {others[0]:g} is no id: threshold or segment it first"
    dtype = "int64" if array.min(initial=0) < 0 else "uint64"
    return f"; all values are whole numbers, so that .astype(np.{dtype}) converts them"
