"""What every metric is: sums over batches, and the numbers that follow from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import torch


class Metric(ABC):
    """A measure over a whole validation set, fed batch by batch.

    Metrics keep sums, never voxels, so that their memory does not grow with the set. Where nothing that counts has been
    seen, their numbers are NaN.
    """

    def __init__(self) -> None:
        self.reset()

    @abstractmethod
    def reset(self) -> None:
        """Forget everything."""

    @abstractmethod
    def update(self, prediction: torch.Tensor, label: torch.Tensor) -> None:
        """Add one batch.

        Args:
            prediction: values B C D H W, activated (see `geometry.activation.activate_prediction`).
            label: B 1 D H W (classes) or B C D H W (a foreground in each channel) with negative values unknown, or
                B C D H W with NaN unknown.

        Raises:
            ValueError: when the shapes do not fit.
        """

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add what another metric of the same kind has seen, such as that of another process."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Numbers by name, over all batches since the last reset."""


def check_same_shape(prediction: torch.Tensor, label: torch.Tensor) -> None:
    """Check that two tensors agree in shape, so that nothing is broadcast by accident.

    Raises:
        ValueError: that names both shapes.
    """
    if prediction.shape != label.shape:
        raise ValueError(f"prediction has shape {list(prediction.shape)}, but its label has {list(label.shape)}")


def known_pairs(prediction: torch.Tensor, label: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of the voxels whose label is finite in every channel, B C D H W -> N C, in float64 on the CPU.

    Some devices have no float64.
    """
    check_same_shape(prediction, label)
    known = torch.isfinite(label).all(dim=1)  # B C D H W -> B D H W
    return prediction.movedim(1, -1)[known].cpu().double(), label.movedim(1, -1)[known].cpu().double()


def ratio(numerator: float, denominator: float) -> float:
    """Quotient, or NaN where there is nothing to divide by."""
    return numerator / denominator if denominator else float("nan")
