"""Losses of heatmaps whose truth is drawn from the landmarks' coordinates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from ..geometry import did_you_mean
from ..landmarks import gaussian_heatmaps

SIGMA_UNITS = ("voxels", "physical")


class HeatmapLoss(nn.Module):
    """Compare predicted heatmaps with Gaussians at the landmarks.

    Drawing them here, where they are needed, keeps batches small, and gives every level of deep supervision Gaussians
    of its own: centred where the landmark is on that level's grid, and as wide in space.

    Args:
        loss: maps heatmaps and true heatmaps B N D H W, NaN where unknown, to a number.
        sigma: standard deviation of the Gaussians, one for all axes or one for each.
        amplitude: value at the landmark.
        sigma_unit: `"voxels"` of the image as the network gets it, or `"physical"`, in the unit of the spacing.
        spacing: physical size of a voxel along z, y, x; in 2D the last two count.

    Raises:
        ValueError: for a sigma or amplitude not above 0, and another unit.
    """

    def __init__(
        self,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        *,
        sigma: float | Sequence[float] = 4.0,
        amplitude: float = 100.0,
        sigma_unit: str = "voxels",
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        if sigma_unit not in SIGMA_UNITS:
            raise ValueError(
                f"sigma_unit must be {' or '.join(SIGMA_UNITS)}; got {sigma_unit!r}"
                f"{did_you_mean(sigma_unit, SIGMA_UNITS)}"
            )
        widths = np.atleast_1d(np.asarray(sigma, np.float64))
        if len(widths) not in (1, 2, 3) or not (widths > 0).all() or not amplitude > 0:
            raise ValueError(
                "sigma and amplitude must be above 0, sigma one number or one per axis; "
                f"got sigma = {sigma}, amplitude = {amplitude}"
            )
        self.loss = loss
        self.widths = widths
        self.amplitude = float(amplitude)
        self.spacing = None if sigma_unit == "voxels" else np.asarray(spacing, np.float64)

    def forward(
        self, prediction: torch.Tensor, truth: torch.Tensor, full_shape: Sequence[int] | None = None
    ) -> torch.Tensor:
        """Compute the loss.

        Args:
            prediction: heatmaps, B N D H W (2D: B N H W).
            truth: landmarks as indices z, y, x, B N 3 (2D: B N 2), NaN where one is missing; or heatmaps of the
                prediction's shape.
            full_shape: voxels of the image, where the prediction is that of a coarser level; `None`: the prediction's.

        Raises:
            ValueError: when the shapes do not fit.
        """
        if truth.ndim == prediction.ndim:
            return self.loss(prediction, truth)
        shape = prediction.shape[2:]
        with torch.autocast(prediction.device.type, enabled=False):
            maps = gaussian_heatmaps(truth, shape, self._sigma(len(shape)), self.amplitude, full_shape=full_shape)
        return self.loss(prediction, maps)

    def _sigma(self, dims: int) -> list[float]:
        """Standard deviation in voxels along each axis."""
        widths = np.broadcast_to(self.widths, dims)
        if self.spacing is not None:
            widths = widths / self.spacing[-dims:]
        return [float(width) for width in widths]
