"""What a prediction should be like, whatever the truth says: smooth directions, distances of slope 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from .inputs import check_same_shape, full_precision, mean_where

_SHORTEST = 1e-4  # as in the masked cosine


class NormalConsistencyLoss(nn.Module):
    """One minus the cosine between predicted directions of neighbouring voxels, averaged over pairs that count.

    Two voxels are neighbours where they share a face; a pair counts where both have a true direction. Only the
    prediction's smoothness matters, not how near it is to the truth.

    Args:
        sign_invariant: whether opposite directions are equal.
    """

    def __init__(self, sign_invariant: bool = False) -> None:
        super().__init__()
        self.sign_invariant = sign_invariant

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the loss; 0, with a gradient of 0, where no pair counts.

        Args:
            prediction: vectors, B C D H W.
            target: B C D H W; NaN or zero vectors do not count.

        Raises:
            ValueError: when the shapes differ.
        """
        check_same_shape(prediction, target)
        counts = torch.isfinite(target).all(dim=1) & (target != 0).any(dim=1)  # B C D H W -> B D H W
        directions = F.normalize(full_precision(prediction), dim=1, eps=_SHORTEST)
        total, pairs = directions.new_zeros(()), directions.new_zeros(())
        for axis in range(2, prediction.ndim):
            size = prediction.shape[axis] - 1
            cosine = (directions.narrow(axis, 0, size) * directions.narrow(axis, 1, size)).sum(dim=1)  # B D H W
            both = counts.narrow(axis - 1, 0, size) & counts.narrow(axis - 1, 1, size)
            difference = 1 - (cosine.abs() if self.sign_invariant else cosine)
            total = total + torch.where(both, difference, 0.0).sum()
            pairs = pairs + both.sum()
        return total / pairs.clamp(min=1)


class EikonalLoss(nn.Module):
    """Squared difference of a distance field's slope from 1, averaged over the voxels that count.

    Slopes are central differences per physical length, so that distances must be in the unit of the spacing. A voxel
    counts where it and all its neighbours across faces are known; with a limit, also only where the true distance is
    less than that far from 0, since a field that is cut off is flat beyond.

    Source: implicit geometric regularisation (Gropp et al. 2020).

    Args:
        spacing: size of a voxel along z, y, x; in 2D the last two count.
        max_distance: limit of the true distance, in the unit of the spacing; `None`: none.
    """

    def __init__(self, spacing: Sequence[float] = (1.0, 1.0, 1.0), max_distance: float | None = None) -> None:
        super().__init__()
        self.spacing = [float(s) for s in spacing]
        self.max_distance = max_distance

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the loss; 0, with a gradient of 0, where no voxel counts.

        Args:
            prediction: distances, B C D H W, each channel a field of its own.
            target: B C D H W, NaN where unknown.

        Raises:
            ValueError: when the shapes differ, or an axis has fewer than 3 voxels.
        """
        check_same_shape(prediction, target)
        dims = prediction.ndim - 2
        if min(prediction.shape[2:]) < 3:
            raise ValueError(f"a slope needs at least 3 voxels along each axis, got {list(prediction.shape[2:])}")
        known = torch.isfinite(target)
        counts = _inner(known, dims)
        if self.max_distance is not None:
            counts = counts & (_inner(torch.nan_to_num(target), dims).abs() < self.max_distance)
        squared = full_precision(prediction).new_zeros(())
        for axis, spacing in enumerate(self.spacing[-dims:], start=2):
            after, before = (_shifted(prediction, axis, step) for step in (1, -1))
            squared = squared + ((full_precision(after) - full_precision(before)) / (2 * spacing)) ** 2
            counts = counts & _shifted(known, axis, 1) & _shifted(known, axis, -1)
        # the root's slope is infinite at 0, where the field is flat
        slope = torch.where(squared > _SHORTEST**2, squared, _SHORTEST**2).sqrt()
        return mean_where((slope - 1) ** 2, counts)


def _inner(values: torch.Tensor, dims: int) -> torch.Tensor:
    """Without the outermost voxels of each spatial axis."""
    for axis in range(values.ndim - dims, values.ndim):
        values = values.narrow(axis, 1, values.shape[axis] - 2)
    return values


def _shifted(values: torch.Tensor, axis: int, step: int) -> torch.Tensor:
    """The inner voxels' neighbours along an axis."""
    for other in range(2, values.ndim):
        values = values.narrow(other, 1 + (step if other == axis else 0), values.shape[other] - 2)
    return values
