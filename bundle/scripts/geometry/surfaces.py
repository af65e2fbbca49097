"""Surface normals of label arrays: of closed objects and of sheets (plain NumPy arrays)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .fields import Floats, Ids, signed_distance

_SHORTEST = 1e-6


def object_normals(ids: Ids, spacing: tuple[float, ...], sigma: float, width: float | None = None) -> Floats:
    """Outward unit normals of closed objects: against the gradient of the smoothed signed distance.

    Args:
        ids: D H W or H W, 0 = background; ids that touch count as one object.
        spacing: physical size of a voxel along each axis.
        sigma: standard deviation of the smoothing, physical length.
        width: where normals are given: within this distance of the boundary, on both sides; `None`: in the whole
            foreground.

    Returns:
        C D H W or C H W, components z, y, x; zero where there is none.
    """
    distance = signed_distance(ids, spacing)
    where = ids > 0 if width is None else np.abs(distance) <= width
    if np.isnan(distance).any():  # nothing but foreground or nothing but background: no surface
        return np.zeros((ids.ndim, *ids.shape), dtype=np.float32)
    gradient = _gradient(_smooth_linear(distance, spacing, sigma), spacing)
    return _unit(-gradient, where)


def sheet_normals(foreground: NDArray[np.bool_], spacing: tuple[float, ...], sigma: float) -> Floats:
    """Unit normals of sheets, up to sign: principal eigenvector of the structure tensor of the smoothed label.

    The tensor sums over both faces of a sheet, so its principal direction holds in the middle of the sheet, too, where
    the gradient vanishes. Source: Bigun and Granlund 1987; Weickert 1998, coherence-enhancing diffusion.

    Args:
        foreground: D H W or H W.
        spacing: physical size of a voxel along each axis.
        sigma: standard deviation, physical length, of the smoothing before the gradient; the tensor is averaged
            with twice that.

    Returns:
        C D H W or C H W, components z, y, x; zero outside the foreground.
    """
    normals = np.zeros((foreground.ndim, *foreground.shape), dtype=np.float32)
    if not foreground.any() or foreground.all():
        return normals
    voxels = [sigma / size for size in spacing]
    # derivatives of the Gaussian: central differences would weaken the component along the axis with the largest voxels
    gradient = [
        ndimage.gaussian_filter(
            foreground.astype(np.float32),
            voxels,
            order=[int(a == axis) for a in range(foreground.ndim)],
            mode="nearest",
        )
        / size
        for axis, size in enumerate(spacing)
    ]
    weight = _away_from_edges(foreground.shape, voxels)
    tensor = np.empty((int(foreground.sum()), foreground.ndim, foreground.ndim), dtype=np.float32)  # N C C
    for row in range(foreground.ndim):
        for column in range(row + 1):
            product = ndimage.gaussian_filter(
                weight * gradient[row] * gradient[column], [2 * size for size in voxels], mode="constant"
            )
            tensor[:, row, column] = tensor[:, column, row] = product[foreground]
    values, vectors = np.linalg.eigh(tensor)  # ascending
    principal = np.where(values[:, -1:] > 0, vectors[:, :, -1], 0)  # N C
    normals[:, foreground] = principal.T
    return normals


def dominant_side(normals: Floats) -> Floats:
    """Give normals one sign: the side on which their dominant direction's largest component is positive.

    The dominant direction is the principal eigenvector of the mean of n n^T, the axis that all normals are closest to.

    Args:
        normals: C followed by any axes; zero = none.

    Returns:
        normals of the same shape, each with n . direction >= 0.
    """
    flat = normals.reshape(len(normals), -1).astype(np.float64)  # C D H W -> C N
    direction = np.linalg.eigh(flat @ flat.T)[1][:, -1]
    direction *= np.sign(direction[np.argmax(np.abs(direction))])
    return _pointing_along(normals, np.tensordot(direction, normals, axes=1))


def outer_side(
    normals: Floats,
    affine: NDArray[np.float64],
    spacing: tuple[float, ...],
    origin: Sequence[float],
    axis: Sequence[float] | None = None,
) -> Floats:
    """Give normals one sign: pointing away from a point, or from a line through it (the axis of a scroll).

    The side is decided in the scene (n . v does not depend on the grid), so an augmentation does not change it.

    Args:
        normals: C D H W or C H W; zero = none.
        affine: (C + 1) x (C + 1), array index to physical position.
        spacing: nominal spacing, in which the components are.
        origin: physical position, one value per axis.
        axis: direction of the line in physical space; `None`: away from the point itself.

    Returns:
        normals of the same shape, each pointing away.
    """
    dims = len(normals)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in normals.shape[1:]), indexing="ij"))  # C D H W
    offset = np.tensordot(affine[:dims, :dims], index, axes=1)
    offset += (affine[:dims, dims] - np.asarray(origin, dtype=np.float64)).reshape(dims, *[1] * dims)
    if axis is not None:
        unit = np.asarray(axis, dtype=np.float64) / np.linalg.norm(axis)
        offset -= unit.reshape(dims, *[1] * dims) * np.tensordot(unit, offset, axes=1)
    to_array = np.diag(spacing) @ np.linalg.inv(affine[:dims, :dims])
    return _pointing_along(normals, (np.tensordot(to_array, offset, axes=1) * normals).sum(axis=0))


def _pointing_along(normals: Floats, agreement: NDArray[np.floating]) -> Floats:
    return np.where(agreement < 0, -normals, normals).astype(np.float32)


def _gradient(values: Floats, spacing: tuple[float, ...]) -> Floats:
    """Central differences, one-sided at the edges: D H W -> C D H W; zero along an axis of one voxel."""
    return np.stack(
        [
            np.gradient(values, size, axis=axis) if values.shape[axis] > 1 else np.zeros_like(values)
            for axis, size in enumerate(spacing)
        ]
    )


def _unit(vectors: Floats, where: NDArray[np.bool_]) -> Floats:
    length = np.linalg.norm(vectors, axis=0)
    keep = where & (length > _SHORTEST)
    return np.where(keep, vectors / np.where(keep, length, 1), 0).astype(np.float32)


def _smooth_linear(values: Floats, spacing: tuple[float, ...], sigma: float) -> Floats:
    """Gaussian smoothing that continues slopes beyond the edges, so that normals there are not flattened."""
    voxels = [sigma / size for size in spacing]
    pad = [math.ceil(4 * size) if n > 1 else 0 for size, n in zip(voxels, values.shape, strict=True)]
    padded = np.pad(values, [(p, p) for p in pad], mode="reflect", reflect_type="odd")
    smoothed = ndimage.gaussian_filter(padded, voxels, mode="nearest")
    return smoothed[tuple(slice(p, p + n) for p, n in zip(pad, values.shape, strict=True))]


def _away_from_edges(shape: tuple[int, ...], sigma_voxels: Sequence[float]) -> Floats:
    """Zero within two sigma of the array's edges, where the smoothed label is continued and its gradient bent.

    An axis that is shorter than four such margins keeps its edges.
    """
    weight = np.ones(shape, dtype=np.float32)
    for axis, (n, size) in enumerate(zip(shape, sigma_voxels, strict=True)):
        margin = math.ceil(2 * size)
        if n < 4 * margin:
            continue
        profile = np.ones(n, dtype=np.float32)
        profile[:margin] = profile[n - margin :] = 0
        weight *= profile.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return weight
