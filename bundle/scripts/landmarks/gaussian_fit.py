"""A Gaussian fitted to each heatmap: where it is, and how uncertain along which direction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from torch import Tensor

from ..geometry.peaks import highest_voxels, refine_points

_OUTLIER = 0.1  # share of the amplitude from which a residual counts less than by its square
_EXTENT = 2.5  # half widths at half maximum on each side of the peak that are looked at, beside one voxel
_LARGEST_LOGARITHM = 50.0  # of a width or its inverse: both remain numbers that can be inverted
_LEAST_WIDTH = 0.1  # voxels: a single bright voxel has no width

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianFit:
    """Gaussians amplitude x exp(-(x - m)^T C^-1 (x - m) / 2) + offset, one per heatmap.

    Args:
        points: centres m, B N D in voxels; NaN where a map is constant or holds NaN.
        covariance: C, B N D D in voxels squared.
        amplitude: B N.
        offset: B N.
        converged: B N, whether a Gaussian was found that is above its offset, with its centre in the map and no wider
            than the map. Where none was, the centre is the maximum between voxels (`refine_points`), and all else NaN.
    """

    points: Tensor
    covariance: Tensor
    amplitude: Tensor
    offset: Tensor
    converged: Tensor

    @property
    def sigmas(self) -> Tensor:
        """Standard deviations along the Gaussians' own axes in voxels, smallest first, B N D."""
        known = self.covariance.isfinite().all(dim=-1).all(dim=-1)
        squares = torch.linalg.eigvalsh(torch.where(known[..., None, None], self.covariance, 1.0))
        return torch.where(known[..., None], squares.clamp(min=0).sqrt(), torch.nan)


def fit_gaussians(heatmaps: Tensor, window: int | None = None) -> GaussianFit:
    """Fit a Gaussian with an offset to the surroundings of each map's highest voxel, by robust least squares.

    In 2D it has 7 parameters: amplitude, two of the centre, three of the covariance (two widths and a direction), and
    offset; in 3D 11. Residuals above a tenth of the amplitude count by their size and no longer by their square
    (`soft_l1` of SciPy), so that a second peak nearby pulls little.

    Args:
        heatmaps: B N D H W (2D: B N H W).
        window: voxels on each side of the highest voxel that count; `None`: as far as the map's own width asks for.

    Returns:
        the parameters, float64 on the CPU.

    Raises:
        ValueError: for a window below 1, and maps without spatial axes.
    """
    if window is not None and (not isinstance(window, int) or window < 1):
        raise ValueError(f"window must be a whole number of at least 1, or None; got {window!r}")
    maps = heatmaps.detach().cpu()
    peaks, _ = highest_voxels(maps)
    places = refine_points(maps, peaks).double()
    n, dims = maps.shape[0] * maps.shape[1], peaks.shape[2]
    points, covariance = places.reshape(n, dims), torch.full((n, dims, dims), torch.nan, dtype=torch.float64)
    amplitude, offset = torch.full((2, n), torch.nan, dtype=torch.float64)
    converged = torch.zeros(n, dtype=torch.bool)
    for row, (values, peak) in enumerate(zip(maps.flatten(0, 1), peaks.reshape(n, dims), strict=True)):
        if peak.isnan().any():
            continue
        fit = _fit(values.double().numpy(), peak.numpy().astype(int), points[row].numpy(), window)
        if not fit.is_within(values.shape):
            continue
        converged[row] = True
        points[row], covariance[row] = torch.from_numpy(fit.centre), torch.from_numpy(fit.covariance)
        amplitude[row], offset[row] = fit.amplitude, fit.offset
    batch = heatmaps.shape[:2]
    return GaussianFit(
        points.reshape(*batch, dims),
        covariance.reshape(*batch, dims, dims),
        amplitude.reshape(batch),
        offset.reshape(batch),
        converged.reshape(batch),
    )


@dataclass(frozen=True)
class _Fit:
    centre: _Floats
    covariance: _Floats
    amplitude: float
    offset: float
    success: bool

    def is_within(self, shape: Sequence[int]) -> bool:
        """Whether it was found, its centre lies in the map, and its widths are none beyond the map's size."""
        inside = (self.centre > -0.5) & (self.centre < np.array(shape) - 0.5)
        narrow = np.diag(self.covariance) <= max(shape) ** 2  # false for NaN, too
        return self.success and bool(inside.all() and narrow.all())


def _fit(values: _Floats, peak: NDArray[np.int64], start: _Floats, window: int | None) -> _Fit:
    """Fit one map, D H W, near its highest voxel."""
    low, high = float(values.min()), float(values[tuple(peak)])
    half_widths = _half_widths(values > (low + high) / 2, peak)
    reach = [window or math.ceil(_EXTENT * width) + 1 for width in half_widths]
    box = tuple(slice(max(p - r, 0), p + r + 1) for p, r in zip(peak, reach, strict=True))
    seen = values[box]
    scale = high - low  # parameters of similar size
    target = (seen.ravel() - low) / scale
    corner = np.array([part.start for part in box])
    grid = np.indices(seen.shape).reshape(seen.ndim, -1).T + corner  # V D
    dims = seen.ndim
    below = np.tril_indices(dims)
    diagonal = below[0] == below[1]
    widths = np.maximum(np.array(half_widths) / math.sqrt(2 * math.log(2)), _LEAST_WIDTH)
    root = np.where(diagonal, -np.log(widths)[below[0]], 0.0)  # of the inverse covariance: logarithms on the diagonal
    first = np.concatenate([[1.0], start, root, [0.0]])

    def parts(parameters: _Floats) -> tuple[_Floats, _Floats, _Floats, _Floats]:
        factor = np.zeros((dims, dims))
        entries = parameters[1 + dims : -1]
        factor[below] = np.where(diagonal, np.exp(np.clip(entries, -_LARGEST_LOGARITHM, _LARGEST_LOGARITHM)), entries)
        away = grid - parameters[1 : 1 + dims]  # V D
        whitened = away @ factor.T  # V D
        return factor, away, whitened, np.exp(-0.5 * (whitened**2).sum(axis=1))

    def residuals(parameters: _Floats) -> _Floats:
        return parameters[0] * parts(parameters)[3] + parameters[-1] - target

    def slopes(parameters: _Floats) -> _Floats:
        factor, away, whitened, bell = parts(parameters)
        scaled = parameters[0] * bell[:, None]
        to_centre = scaled * (whitened @ factor)
        to_root = -scaled * whitened[:, below[0]] * away[:, below[1]]
        to_root = np.where(diagonal, to_root * factor[below], to_root)
        return np.column_stack([bell, to_centre, to_root, np.ones(len(bell))])

    found = least_squares(residuals, first, slopes, loss="soft_l1", f_scale=_OUTLIER, x_scale="jac", max_nfev=200)
    factor = parts(found.x)[0]
    inverse = np.linalg.inv(factor)
    covariance = inverse @ inverse.T
    success = bool(found.success and found.x[0] > 0)
    return _Fit(found.x[1 : 1 + dims], covariance, found.x[0] * scale, found.x[-1] * scale + low, success)


def _half_widths(above: NDArray[np.bool_], peak: NDArray[np.int64]) -> list[float]:
    """Voxels from the peak to where the map falls below half, along each axis; the farther of both sides."""
    widths = []
    for axis in range(above.ndim):
        line = above[tuple(slice(None) if a == axis else p for a, p in enumerate(peak))]
        place = peak[axis]
        runs = [line[place:], line[place::-1]]
        widths.append(max(float(run.argmin() if not run.all() else len(run)) for run in runs) - 0.5)
    return widths
