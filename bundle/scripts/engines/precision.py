"""Predictions in full precision, whatever the network computed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..losses.inputs import full_precision as of_tensor


def full_precision(prediction: Any) -> Any:
    """Predictions in float32: tensors, lists of them (deep supervision), and dictionaries by target."""
    if isinstance(prediction, Mapping):
        return {name: full_precision(value) for name, value in prediction.items()}
    if isinstance(prediction, Sequence):
        return [full_precision(value) for value in prediction]
    return of_tensor(prediction)
