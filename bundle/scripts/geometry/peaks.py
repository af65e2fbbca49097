"""Where a heatmap is highest: the voxel, the place between voxels, and the mean place (plain tensors)."""

from __future__ import annotations

import torch
from torch import Tensor

_FARTHEST = 1.5  # voxels from the highest voxel, within which a refined place is believed


def highest_voxels(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Voxel of the highest value of each map, the first of several.

    Args:
        heatmaps: B N D H W (2D: B N H W).

    Returns:
        indices z, y, x (2D: y, x), B N 3, NaN where a map is constant or holds NaN; and the highest values, B N.

    Raises:
        ValueError: when there is no spatial axis, or one without voxels.
    """
    check_heatmaps(heatmaps)
    values, place = heatmaps.flatten(2).max(dim=2)
    index = torch.stack(torch.unravel_index(place, heatmaps.shape[2:]), dim=2)  # B N D
    points = index.to(values.dtype if values.dtype == torch.float64 else torch.float32)
    has_peak = values > heatmaps.flatten(2).amin(dim=2)  # false for NaN, too
    return torch.where(has_peak[..., None], points, torch.nan), values


def refine_points(heatmaps: Tensor, points: Tensor) -> Tensor:
    """Highest place of a quadratic function through the voxels around the highest voxel.

    One step of Newton's method on the logarithm, whose derivatives are differences of neighbours: exact for a Gaussian
    of any width and direction. Where a value beside the peak is not positive, the values themselves take its place. At
    the border the neighbours of the voxel next to it are used, and an axis of less than 3 voxels is left as it is. A
    place that is no maximum, or lies more than 1.5 voxels away, is not believed: the point stays.

    Source: the Taylor expansion of Zhang et al. 2020 (DARK), without their smoothing.

    Args:
        heatmaps: B N D H W (2D: B N H W).
        points: highest voxels, B N 3, NaN where there is none; see `highest_voxels`.

    Returns:
        B N 3, NaN stays NaN.

    Raises:
        ValueError: when the shapes do not fit.
    """
    shape = heatmaps.shape[2:]
    dims = len(shape)
    check_heatmaps(heatmaps)
    if points.shape != (*heatmaps.shape[:2], dims):
        raise ValueError(
            f"heatmaps of shape {list(heatmaps.shape)} have points of shape {[*heatmaps.shape[:2], dims]}; "
            f"got {list(points.shape)}"
        )
    size = torch.tensor(shape, device=points.device)
    start = points.reshape(-1, dims).nan_to_num().long()  # B N 3 -> M 3
    centre = torch.where(size > 2, torch.minimum(start.clamp(min=1), (size - 2).clamp(min=0)), start)
    values = _around(heatmaps.flatten(0, 1), centre).to(points.dtype)
    positive = (values.flatten(1) > 0).all(dim=1).reshape(-1, *[1] * dims)
    values = torch.where(positive, values.clamp(min=torch.finfo(values.dtype).tiny).log(), values)
    gradient, hessian = _derivatives(values)
    free = size > 2
    gradient = torch.where(free, gradient, 0.0)
    hessian = torch.where(free & free[:, None], hessian, -torch.eye(dims, dtype=points.dtype, device=points.device))
    factor, info = torch.linalg.cholesky_ex(-hessian.nan_to_num())
    step = torch.cholesky_solve(gradient.nan_to_num().unsqueeze(2), factor).squeeze(2)
    found = centre + step
    believed = (info == 0) & ((found - start).abs() <= _FARTHEST).all(dim=1)  # false for NaN, too
    refined = torch.where(believed[:, None], found, start.to(found.dtype)).reshape(points.shape)
    return torch.where(points.isnan(), torch.nan, refined)


def peak_points(heatmaps: Tensor) -> Tensor:
    """Places of the maxima between voxels: `refine_points` of `highest_voxels`, B N D H W -> B N 3."""
    return refine_points(heatmaps, highest_voxels(heatmaps)[0])


def soft_argmax(heatmaps: Tensor, temperature: float = 1.0, window: int | None = None) -> Tensor:
    """Mean place, by weights exp(value / temperature): differentiable in the values.

    A background of many voxels pulls the mean towards the middle of the map; a window around the highest voxel, which
    is no longer differentiable in where it lies, keeps it out.

    Args:
        heatmaps: B N D H W (2D: B N H W); half precision is read as float32.
        temperature: in the unit of the values; towards 0 the mean becomes the highest voxel.
        window: voxels on each side of the highest voxel that count; `None`: all do.

    Returns:
        B N 3 (2D: B N 2), indices z, y, x; NaN where a map holds NaN.

    Raises:
        ValueError: for a temperature not above 0, a negative window, and no spatial axes.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be a number above 0; got {temperature!r}")
    if window is not None and (not isinstance(window, int) or window < 0):
        raise ValueError(f"window must be a whole number of at least 0, or None; got {window!r}")
    check_heatmaps(heatmaps)
    shape = heatmaps.shape[2:]
    values = heatmaps.float() if heatmaps.dtype in (torch.float16, torch.bfloat16) else heatmaps
    values = values / temperature
    if window is not None:
        middle = torch.unravel_index(values.detach().flatten(2).argmax(dim=2), shape)  # B N, for each axis
        for axis, n in enumerate(shape):
            far = (torch.arange(n, device=values.device) - middle[axis].unsqueeze(2)).abs() > window  # B N n
            values = values.masked_fill(_along(far, axis, len(shape)), -torch.inf)
    weights = values.flatten(2).softmax(dim=2).reshape(values.shape)
    means = []
    for axis, n in enumerate(shape):
        others = [2 + other for other in range(len(shape)) if other != axis]
        marginal = weights.sum(dim=others) if others else weights  # B N n
        means.append(marginal @ torch.arange(n, device=weights.device, dtype=weights.dtype))
    return torch.stack(means, dim=2)


def check_heatmaps(heatmaps: Tensor) -> None:
    """Check that there are batch, landmarks and at least one spatial axis, none without voxels.

    Raises:
        ValueError: that names the shape.
    """
    if heatmaps.ndim < 3 or 0 in heatmaps.shape[2:]:
        raise ValueError(f"expected heatmaps of shape B N D H W or B N H W; got {list(heatmaps.shape)}")


def _along(values: Tensor, axis: int, dims: int) -> Tensor:
    """B N n -> B N 1 n 1, with n at one of the spatial axes."""
    return values.reshape(*values.shape[:2], *[-1 if a == axis else 1 for a in range(dims)])


def _around(maps: Tensor, centre: Tensor) -> Tensor:
    """Values of the 3 x 3 x 3 voxels around a voxel of each map, M D H W -> M 3 3 3; borders are repeated."""
    dims = centre.shape[1]
    steps = torch.arange(-1, 2, device=centre.device)
    index = [torch.arange(len(maps), device=centre.device).reshape(-1, *[1] * dims)]
    for axis, n in enumerate(maps.shape[1:]):
        near = (centre[:, axis, None] + steps).clamp(0, n - 1)  # M 3
        index.append(near.reshape(-1, *[3 if a == axis else 1 for a in range(dims)]))
    return maps[tuple(index)]


def _derivatives(values: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient M D and second derivatives M D D at the middle of M 3 3 3 values, by central differences."""
    dims = values.ndim - 1
    flat = values.flatten(1)  # M 3 3 3 -> M 27

    def at(*moves: tuple[int, int]) -> Tensor:
        """Values one step along some axes: pairs of axis and -1 or 1."""
        place = dict(moves)
        index = [3 ** (dims - 1 - axis) * (1 + place.get(axis, 0)) for axis in range(dims)]
        return flat[:, sum(index)]

    middle = at()
    gradient, hessian = [], []
    for a in range(dims):
        above, below = at((a, 1)), at((a, -1))
        gradient.append((above - below) / 2)
        row = [
            above - 2 * middle + below
            if a == b
            else (at((a, 1), (b, 1)) - at((a, 1), (b, -1)) - at((a, -1), (b, 1)) + at((a, -1), (b, -1))) / 4
            for b in range(dims)
        ]
        hessian.append(torch.stack(row, dim=1))
    return torch.stack(gradient, dim=1), torch.stack(hessian, dim=1)
