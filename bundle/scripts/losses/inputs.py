"""What every loss does with its inputs before it computes."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from monai.data import MetaTensor


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor without its meta data, which costs time in every operation and is not needed here."""
    return tensor.as_tensor() if isinstance(tensor, MetaTensor) else tensor


def check_keys(targets: Iterable[str], predictions: Iterable[str], labels: Iterable[str]) -> None:
    """Check that every target has a prediction and a label.

    Raises:
        ValueError: that names the missing ones and all keys of both.
    """
    predicted, labelled = list(predictions), list(labels)
    without_prediction = [name for name in targets if name not in predicted]
    without_label = [name for name in targets if name not in labelled]
    if without_prediction or without_label:
        raise ValueError(
            f"targets without prediction: {without_prediction or 'none'}; without label: {without_label or 'none'}; "
            f"predictions have {predicted}, labels have {labelled}"
        )


def check_same_shape(prediction: torch.Tensor, label: torch.Tensor) -> None:
    """Check that two tensors agree in shape, so that nothing is broadcast by accident.

    Raises:
        ValueError: that names both shapes.
    """
    if prediction.shape != label.shape:
        raise ValueError(f"prediction has shape {list(prediction.shape)}, but its label has {list(label.shape)}")


def full_precision(prediction: torch.Tensor) -> torch.Tensor:
    """Return at least float32: sums over a patch overflow half precision."""
    return prediction.float() if prediction.dtype in (torch.float16, torch.bfloat16) else prediction


def mean_where(values: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Mean of the values that count; 0 (with zero gradient) where none does.

    Args:
        values: any shape, finite where they count.
        counts: boolean, same shape.
    """
    return torch.where(counts, values, 0.0).sum() / counts.sum().clamp(min=1)
