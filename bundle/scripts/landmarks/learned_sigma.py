"""Heatmaps whose width, and direction, are learnt from how noisy the annotations are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .heatmaps import density_amplitude, gaussian_heatmaps


class LearnedSigma(nn.Module):
    """Heatmaps of landmarks with a learnable width each: the target of `scripts.losses.SigmaRegressionLoss`.

    The sum of every map is gamma, so its value at the landmark is gamma / (2 pi sigma1 sigma2) in 2D. Targets pass
    their gradient on to the widths: where annotations of the same place differ, what the network cannot know gets
    smaller with wider maps, and the penalty on the widths balances it.

    Source: Payer et al. 2019 (one width), Thaler et al. 2021 (one per axis, and their direction).

    Args:
        n_landmarks: number of landmarks N.
        spatial_dims: 2 or 3.
        initial: standard deviation at the beginning, in voxels.
        anisotropic: whether each landmark has a width along each axis of its own, and angles of these axes.
        gamma: sum of a map.

    Raises:
        ValueError: for numbers out of range.
    """

    def __init__(
        self,
        n_landmarks: int,
        spatial_dims: int = 3,
        *,
        initial: float = 4.0,
        anisotropic: bool = False,
        gamma: float = 100.0,
    ) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims must be 2 or 3; got {spatial_dims!r}")
        if n_landmarks < 1 or not initial > 0 or not gamma > 0:
            raise ValueError(
                "n_landmarks, initial and gamma must be above 0; "
                f"got n_landmarks = {n_landmarks}, initial = {initial}, gamma = {gamma}"
            )
        self.gamma = gamma
        self.spatial_dims = spatial_dims
        # The logarithm keeps widths above 0 at every step of the optimiser.
        start = torch.full((n_landmarks, spatial_dims if anisotropic else 1), float(initial)).log()
        self.log_sigma = nn.Parameter(start)
        self.turns: nn.Parameter | None = None  # radians: degrees would need other steps than the widths
        if anisotropic:
            self.turns = nn.Parameter(torch.zeros(n_landmarks, 1 if spatial_dims == 2 else 3))

    @property
    def widths(self) -> Tensor:
        """Standard deviations in voxels as they are learnt: N 1, or anisotropic N D."""
        return self.log_sigma.exp()

    @property
    def sigmas(self) -> Tensor:
        """Standard deviations in voxels along each axis of the Gaussians, N D."""
        return self.widths.expand(-1, self.spatial_dims)

    @property
    def angles(self) -> Tensor | None:
        """Degrees by which the Gaussians' axes are turned, N 1 (2D) or N 3 (about z, y, x); `None`: not at all."""
        return None if self.turns is None else torch.rad2deg(self.turns)

    def forward(self, points: Tensor, shape: Sequence[int], full_shape: Sequence[int] | None = None) -> Tensor:
        """Draw the maps, B N 3 -> B N D H W; see `gaussian_heatmaps`.

        Args:
            points: B N 3 (2D: B N 2), NaN is missing.
            shape: of the maps.
            full_shape: of the image, where the maps are those of a coarser grid.
        """
        sigmas = self.sigmas
        amplitude = density_amplitude(self.gamma, sigmas)
        return gaussian_heatmaps(points, shape, sigmas, amplitude, angles=self.angles, full_shape=full_shape)
