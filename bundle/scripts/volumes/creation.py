"""Create multiscale OME-Zarr images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..geometry import did_you_mean
from .grid import Grid, as_triple, unit_symbol
from .layout import ArrayLayout, checked_chunks, checked_version, require_free
from .paths import short_name
from .pyramid import METHODS, count_levels
from .writer import OmeZarrWriter


def create_ome_zarr(
    path: str | Path,
    shape: Sequence[int],
    dtype: npt.DTypeLike,
    *,
    spacing: Sequence[float],
    translation: Sequence[float] = (0.0, 0.0, 0.0),
    unit: str | None = None,
    chunks: Sequence[int] | None = None,
    shards: Sequence[int] | None = None,
    levels: int | None = 1,
    downsample: str = "mean",
    version: str = "0.5",
    compressor: Any = "auto",
    fill_value: float = 0,
    channel_axis: bool = False,
    attributes: Mapping[str, Any] | None = None,
    name: str | None = None,
    overwrite: bool = False,
    keep: bool = False,
) -> OmeZarrWriter:
    """Create an OME-Zarr image without voxels yet. Its arrays are z y x, or c z y x for more than one channel.

    Args:
        path: folder or URL of the image's group.
        shape: C, D, H, W.
        dtype: bool, integer or float type.
        spacing: voxel size along z, y, x.
        translation: position of the centre of voxel 0 along z, y, x.
        unit: `nm`, `um`, `mm` or a unit of length that OME-Zarr knows.
        chunks: D, H, W of a chunk, default 64 each; a chunk holds one channel.
        shards: D, H, W of a shard, multiples of `chunks` (version 0.5 only); a shard holds all channels.
        levels: number of pyramid levels, the finest included; `None` halves until the longest axis has at most 64
            voxels. Axes of much coarser spacing wait for the finer ones (see `pyramid.halving`).
        downsample: `mean` for images and probabilities, `mode` for labels, `normal` for unit vectors (stored as
            the attributes' encoding says), `nearest`.
        version: `0.5` (zarr v3) or `0.4` (zarr v2).
        compressor: as `zarr.create_array` takes its `compressors`; `None` stores raw.
        fill_value: value of voxels that nobody writes.
        channel_axis: keep the channel axis of a single channel.
        attributes: further attributes of the group, such as `NORMAL_INT8.as_attributes()`.
        name: of the image; default from the path.
        overwrite: replace what is at the path, if that is a zarr.
        keep: go on with the image that an equal call made before, if there is one; its voxels stay. Where such a call
            was killed before its end, start again.

    Raises:
        FileExistsError: where the path is taken.
        ValueError: for values that do not fit together.
    """
    size, kind, version = _checked_shape(shape), np.dtype(dtype), checked_version(version)
    if kind.kind not in "biuf":
        raise ValueError(f"dtype: expected bool, integer or float, got {kind}")
    if downsample not in METHODS:
        raise ValueError(
            f"downsample: expected one of {', '.join(METHODS)}, got {downsample!r}{did_you_mean(downsample, METHODS)}"
        )
    if downsample == "normal" and size[0] not in (2, 3):
        raise ValueError(f"downsample = 'normal' is for vectors of 2 or 3 channels; the shape {size} has {size[0]}")
    reserved = sorted({"ome", "multiscales"} & set(attributes or {}))
    if reserved:
        raise ValueError(f"attributes: {reserved} are written by create_ome_zarr itself; leave them out")
    grid = Grid(as_triple(spacing, "spacing", positive=True), as_triple(translation, "translation"), unit_symbol(unit))
    chunk, shard = checked_chunks(size[1:], chunks, shards, version)
    writer = OmeZarrWriter(
        str(path),
        size,
        grid,
        ArrayLayout(version, kind, channel_axis or size[0] > 1, chunk, shard, compressor, fill_value),
        name=name or short_name(str(path)),
        levels=count_levels(size[1:], grid.spacing, levels),
        downsample=downsample,
        attributes=attributes or {},
    )
    if keep and writer.exists():
        return writer
    if not (keep and writer.was_begun()):
        require_free(str(path), overwrite)
    writer.create()
    return writer


def _checked_shape(shape: Sequence[int]) -> tuple[int, int, int, int]:
    numbers = tuple(int(n) for n in shape)
    if len(numbers) != 4 or min(numbers) < 1:
        raise ValueError(f"shape: expected C, D, H, W of at least 1 each, got {tuple(shape)}")
    return numbers[0], numbers[1], numbers[2], numbers[3]
