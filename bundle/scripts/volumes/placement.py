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
from .resample import place, resample
from .stores import open_store
from .volume import Volume, open_volume

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
) -> Volume:
    """Open a volume at exactly a spacing, and on the grid of another volume.

    Of a pyramid the coarsest level is taken that is along every axis as fine as wanted, or as the finest level is; a
    path that names a level (`PATH::1`, or the level's own array) is taken at its word. That level is resampled.

    Args:
        path: as for `open_volume`.
        spacing: voxel size z, y, x; `None`: open as stored, whatever the other arguments.
        mode: `"linear"`, `"nearest"` or `"normal"`, see `ResampledVolume`; default nearest for integers without
            encoding, linear for everything else.
        like: place the array on this volume's grid by physical position; what lies outside of the array counts as
            padding. Where one of the two stores states no geometry, the shapes must be equal.
        axes: order in which the axes are seen, see `PermutedVolume`; that of `like`, too. `spacing` is along z, y, x.
        has_components: whether the channels are components along z, y, x, which then change places with the axes.

    Returns:
        what is stored, where its grid is the wanted one, or where it states no geometry (`spacing` then is its voxel
        size); otherwise a `ResampledVolume`.

    Raises:
        FileNotFoundError: where nothing is at the path.
        ValueError: as `open_volume`; for a spacing that is not positive; for arrays that cannot be placed: their units
            differ, they have no voxel in common, or one states no geometry and the shapes differ.
    """
    path = str(path)
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
    if volume.states_geometry and like.states_geometry:
        return place(volume, like, mode or _mode_of(volume))
    if volume.spatial_shape == like.spatial_shape:
        return volume
    silent = volume if not volume.states_geometry else like
    raise ValueError(
        f"{path} has shape {volume.spatial_shape}, the image {like.path} has {like.spatial_shape} (z y x), and "
        f"{silent.path} states no voxel size, so that physical position cannot place one on the other: convert it to "
        "OME-Zarr with 'python -m scripts convert IN OUT --spacing z,y,x', or give arrays of one shape"
    )


def open_stack(
    paths: str | Path | Sequence[str | Path], spacing: Sequence[float] | None = None, axes: str = STORED_AXES
) -> list[Volume]:
    """Open the arrays that are stacked as the channels of one image.

    Args:
        paths: one path, or several.
        spacing: voxel size z, y, x, exactly; the further arrays are placed on the first one's grid. `None`: as stored.
        axes: order in which the axes are seen, see `PermutedVolume`.

    Raises:
        FileNotFoundError, ValueError: as `open_resampled`.
    """
    several = [paths] if isinstance(paths, (str, Path)) else list(paths)
    volumes: list[Volume] = []
    for path in several:
        volumes.append(open_resampled(path, spacing, "linear", volumes[0] if volumes else None, axes))
    return volumes


def resampling_mode(kind: Kind | str) -> str:
    """The mode of `ResampledVolume` for a kind of target."""
    kind = Kind(kind)
    if kind is Kind.NORMAL:
        return "normal"
    return "nearest" if kind.interpolation == "nearest" else "linear"


def level_spacings(path: str) -> list[Triple]:
    """Spacing z, y, x of every level of an OME-Zarr group, fine to coarse; empty for everything else."""
    if not is_url(path) and not Path(path).is_dir():
        return []
    try:
        node = zarr.open(open_store(path), mode="r")
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
