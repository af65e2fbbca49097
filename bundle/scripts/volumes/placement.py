"""Arrays at an exact spacing, and on the grid of the image that they belong to."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import zarr

from ..geometry import Kind
from .grid import Triple, as_triple
from .ngff import parse_multiscale
from .paths import is_url, split_level
from .permuted import STORED_AXES, permute_axes, to_view
from .resample import fit, fitted_spacing, place, resample
from .volume import Volume, open_volume
from .zarr_nodes import open_node

logger = logging.getLogger(__name__)

_AS_FINE = 1 + 1e-3
"""A level counts as fine enough up to this factor."""

_reported: set[tuple[str, Triple]] = set()


def open_resampled(
    path: str | Path,
    spacing: Sequence[float] | None,
    mode: str | None = None,
    like: Volume | None = None,
    axes: str = STORED_AXES,
    has_components: bool = False,
    shape: Sequence[int] | None = None,
) -> Volume:
    """Open a volume at exactly a spacing or number of voxels, and on the grid of another volume.

    Of a pyramid the coarsest level is taken that is along every axis as fine as wanted, or as the finest level is; a
    path that names a level (`PATH::1`, or the level's own array) is taken at its word. That level is resampled.

    Args:
        path: as for `open_volume`.
        spacing: voxel size z, y, x; `None`: open as stored, whatever the other arguments.
        mode: `"linear"`, `"nearest"` or `"normal"`, see `ResampledVolume`; default nearest for integers without
            encoding, linear for everything else.
        like: place the array on this volume's grid by physical position; what lies outside of the array counts as
            padding. Where one of the two stores states no geometry, the shapes must be equal (with `shape`: those of
            what is stored, at the finest level).
        axes: order in which the axes are seen, see `PermutedVolume`; that of `like`, too. `spacing` is along z, y, x.
        has_components: whether the channels are components along z, y, x, which then change places with the axes.
        shape: voxels z, y, x, whose outer edges are those of the stored image, so that its aspect may change; with
            `spacing` only of a store that states none.

    Returns:
        what is stored, where its grid is the wanted one, or where it states no geometry (`spacing` then is its voxel
        size); otherwise a `ResampledVolume`.

    Raises:
        FileNotFoundError: where nothing is at the path.
        ValueError: as `open_volume`; for a spacing that is not positive, a shape that is none, and both of a store that
            states its voxel size; for arrays that cannot be placed: their units differ, they have no voxel in common,
            or one states no geometry and the shapes differ.
    """
    path = str(path)
    if shape is not None:
        return _open_fitted(path, spacing, mode, like, axes, has_components, as_shape(shape, f"{path}: shape"))
    if spacing is None:
        return permute_axes(open_volume(path), axes, has_components)
    wanted = as_triple(spacing, f"{path}: spacing", positive=True)
    base, level = split_level(path)
    if level is None:
        level = _pick_level(level_spacings(base), wanted)
    volume = permute_axes(open_volume(path, level=level, spacing=wanted), axes, has_components)
    wanted = to_view(wanted, axes)
    if like is None:
        if not volume.states_geometry:
            return volume
        _report_upsampling(volume, wanted)
        return resample(volume, wanted, mode or _mode_of(volume))
    return _on_grid_of(volume, like, mode or _mode_of(volume))


def _on_grid_of(volume: Volume, like: Volume, mode: str) -> Volume:
    if volume.states_geometry and like.states_geometry:
        return place(volume, like, mode)
    if volume.spatial_shape == like.spatial_shape:
        return volume
    silent = volume if not volume.states_geometry else like
    raise ValueError(
        f"{volume.path} has shape {volume.spatial_shape}, the image {like.path} has {like.spatial_shape} (z y x), and "
        f"{silent.path} states no voxel size, so that physical position cannot place one on the other: convert it to "
        "OME-Zarr with 'python -m scripts convert IN OUT --spacing z,y,x', or give arrays of one shape"
    )


def _open_fitted(
    path: str,
    spacing: Sequence[float] | None,
    mode: str | None,
    like: Volume | None,
    axes: str,
    has_components: bool,
    shape: tuple[int, int, int],
) -> Volume:
    """As `open_resampled`, with a number of voxels."""
    voxel_size = None if spacing is None else as_triple(spacing, f"{path}: spacing", positive=True)
    base, level = split_level(path)
    stored = open_volume(path, level=level or 0, spacing=voxel_size)
    if stored.states_geometry and voxel_size is not None:
        raise ValueError(f"{path}: 'shape' and 'spacing' both say how large its voxels are to be; give one of them")
    volume = stored
    if level is None and (spacings := level_spacings(base)):
        volume = open_volume(path, level=_pick_level(spacings, fitted_spacing(stored, shape)))
    stored, volume = (permute_axes(one, axes, has_components) for one in (stored, volume))
    mode = mode or _mode_of(volume)
    mode = "area" if mode == "linear" else mode
    if like is not None and stored.states_geometry and like.states_geometry:
        return place(volume, like, mode)
    if like is not None:  # without positions, voxels of the one must be those of the other, as they are stored
        _on_grid_of(stored, permute_axes(open_volume(like.path), axes), mode)
    return fit(volume, to_view(shape, axes), mode, stored)


def open_stack(
    paths: str | Path | Sequence[str | Path],
    spacing: Sequence[float] | None = None,
    axes: str = STORED_AXES,
    shape: Sequence[int] | None = None,
) -> list[Volume]:
    """Open the arrays that are stacked as the channels of one image.

    Args:
        paths: one path, or several.
        spacing: voxel size z, y, x, exactly; the further arrays are placed on the first one's grid. `None`: as stored.
        axes: order in which the axes are seen, see `PermutedVolume`.
        shape: voxels z, y, x at which they are read, see `open_resampled`.

    Raises:
        FileNotFoundError, ValueError: as `open_resampled`.
    """
    several = [paths] if isinstance(paths, (str, Path)) else list(paths)
    volumes: list[Volume] = []
    for path in several:
        volumes.append(open_resampled(path, spacing, "linear", volumes[0] if volumes else None, axes, shape=shape))
    return volumes


def resampling_mode(kind: Kind | str) -> str:
    """The mode of `ResampledVolume` for a kind of target."""
    kind = Kind(kind)
    if kind is Kind.NORMAL:
        return "normal"
    return "nearest" if kind.interpolation == "nearest" else "linear"


def as_shape(shape: Sequence[int], name: str) -> tuple[int, int, int]:
    """Three whole numbers of voxels.

    Raises:
        ValueError: for anything else; names what it is.
    """
    values = list(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else []
    if len(values) != 3 or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in values):
        raise ValueError(f"{name} must be three whole numbers of voxels z, y, x, at least 1; got {shape!r}")
    return values[0], values[1], values[2]


def level_spacings(path: str) -> list[Triple]:
    """Spacing z, y, x of every level of an OME-Zarr group, fine to coarse; empty for everything else."""
    if not is_url(path) and not Path(path).is_dir():
        return []
    try:
        node = open_node(path)
    except FileNotFoundError:  # `open_volume` says what is there instead
        return []
    multiscale = None if isinstance(node, zarr.Array) else parse_multiscale(dict(node.attrs), path)
    return [level.grid.spacing for level in multiscale.levels] if multiscale else []


def _pick_level(spacings: Sequence[Triple], wanted: Triple) -> int:
    """The coarsest level that is as fine as wanted along each axis, or along which no level is."""
    if not spacings:
        return 0
    enough = [max(want, min(along)) * _AS_FINE for want, along in zip(wanted, zip(*spacings, strict=True), strict=True)]
    fine = [n for n, have in enumerate(spacings) if all(a <= b for a, b in zip(have, enough, strict=True))]
    return max(fine, key=lambda n: (math.prod(spacings[n]), n), default=0)


def _mode_of(volume: Volume) -> str:
    return "nearest" if volume.dtype.kind in "biu" and volume.encoding is None else "linear"


def _report_upsampling(volume: Volume, wanted: Triple) -> None:
    is_coarser = any(have > want * _AS_FINE for have, want in zip(volume.spacing, wanted, strict=True))
    if is_coarser and (volume.path, wanted) not in _reported:
        _reported.add((volume.path, wanted))
        logger.warning(
            "%s: spacing %s was asked for; the finest that is stored is %s, which is interpolated and gains no detail",
            volume.path, list(wanted), list(volume.spacing),
        )  # fmt: skip
