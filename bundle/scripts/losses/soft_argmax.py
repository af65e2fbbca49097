"""Distance between the mean place of a heatmap and the landmark."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..geometry.peaks import peak_points, soft_argmax
from ..landmarks import scale_points
from .inputs import check_same_shape, full_precision, mean_where


class SoftArgmaxLoss(nn.Module):
    """Distance in voxels from the predicted heatmap's mean place to the landmark, averaged over the known landmarks.

    The mean place has weights exp(value / temperature), see `geometry.peaks.soft_argmax`. Without any known landmark
    the loss is 0, and so is its gradient.

    Source: the integral regression of Sun et al. 2018.

    Args:
        temperature: in the unit of the heatmaps' values.
        window: voxels on each side of the predicted heatmap's highest voxel that count; `None`: all do.
    """

    def __init__(self, temperature: float = 1.0, window: int | None = None) -> None:
        super().__init__()
        self.temperature = temperature
        self.window = window

    def forward(
        self, prediction: torch.Tensor, target: torch.Tensor, full_shape: Sequence[int] | None = None
    ) -> torch.Tensor:
        """Compute the loss.

        Args:
            prediction: heatmaps, B N D H W (2D: B N H W).
            target: landmarks as indices z, y, x, B N 3 (2D: B N 2), NaN is missing; or heatmaps of the same shape as
                the predicted ones, whose maxima between voxels are the landmarks. NaN and constant maps are missing.
            full_shape: voxels of the image, in which landmarks and distances are, where the prediction is that of a
                coarser level; `None`: the prediction's.

        Raises:
            ValueError: when the shapes do not fit, and for a temperature or window out of range.
        """
        found = soft_argmax(full_precision(prediction), self.temperature, self.window)
        places = peak_points(target) if target.shape == prediction.shape else target
        check_same_shape(found, places)
        if full_shape is not None:
            found = scale_points(found, prediction.shape[2:], full_shape)
        known = torch.isfinite(places).all(dim=2)
        away = torch.where(known[..., None], found - places, 0.0)
        return mean_where(torch.linalg.vector_norm(away, dim=2), known)
