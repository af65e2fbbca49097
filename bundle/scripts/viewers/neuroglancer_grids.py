"""Where each layer lies, in one unit for all of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..volumes import Grid, Volume

logger = logging.getLogger(__name__)

METRES = {
    "nm": 1e-9,
    "um": 1e-6,
    "mm": 1e-3,
    "angstrom": 1e-10,
    "picometer": 1e-12,
    "centimeter": 1e-2,
    "meter": 1.0,
}
"""Length of the units that a page shows; with others it shows numbers without unit."""

Corners = tuple[list[float], list[float]]


def layer_grids(pyramids: Sequence[Sequence[Volume]]) -> list[list[Grid]]:
    """The grid of every level of every layer, all with a unit, or all without.

    A layer that states no geometry lies where the first one does that states it. Numbers without unit are in the first
    unit that is stated. Where that is a guess, and where a layer does not overlap the first one, a warning says so.

    Args:
        pyramids: levels of each layer, fine to coarse.
    """
    unit = next((levels[0].unit for levels in pyramids if levels[0].unit in METRES), None)
    anchor = next((levels[0] for levels in pyramids if levels[0].states_geometry), pyramids[0][0])
    grids = []
    for levels in pyramids:
        if levels[0].states_geometry:
            _report_unit(levels[0], unit)
            grids.append([_in_unit(level, unit) for level in levels])
        else:
            _report_shape(levels[0], anchor)
            grids.append([_in_unit(anchor, unit) for _ in levels])
    for levels, own in zip(pyramids, grids, strict=True):
        _report_gap(levels[0], own[0], pyramids[0][0], grids[0][0])
    return grids


def _in_unit(volume: Volume, unit: str | None) -> Grid:
    return Grid(volume.spacing, volume.translation, volume.unit if volume.unit in METRES else unit)


def _report_unit(volume: Volume, unit: str | None) -> None:
    if unit is not None and volume.unit not in METRES:
        logger.warning(
            "%s states the spacing %s with %s; it is taken to be in %s, as other layers are",
            volume.path, list(volume.spacing), f"the unit '{volume.unit}'" if volume.unit else "no unit", unit,
        )  # fmt: skip


def _report_shape(volume: Volume, anchor: Volume) -> None:
    if volume.spatial_shape != anchor.spatial_shape:
        logger.warning(
            "%s states no voxel size, and its shape %s is not that of %s, %s; it is shown with the same voxel size, "
            "from the same corner on",
            volume.path, volume.spatial_shape, anchor.path, anchor.spatial_shape,
        )  # fmt: skip


def _report_gap(volume: Volume, grid: Grid, first: Volume, its_grid: Grid) -> None:
    low, high = _corners(volume, grid)
    its_low, its_high = _corners(first, its_grid)
    if any(a >= d or c >= b for a, b, c, d in zip(low, high, its_low, its_high, strict=True)):
        unit = "m" if grid.unit else "voxels"
        logger.warning(
            "%s (from %s to %s) and %s (from %s to %s; z, y, x in %s) do not overlap, so no place shows both",
            volume.path, _words(low), _words(high), first.path, _words(its_low), _words(its_high), unit,
        )  # fmt: skip


def _corners(volume: Volume, grid: Grid) -> Corners:
    """Lower and upper corner z, y, x, in metres where there is a unit."""
    factor = METRES[grid.unit] if grid.unit else 1.0
    rows = list(zip(grid.translation, grid.spacing, volume.spatial_shape, strict=True))
    return [(t - s / 2) * factor for t, s, _ in rows], [(t + (n - 0.5) * s) * factor for t, s, n in rows]


def _words(position: Sequence[float]) -> str:
    return "[" + ", ".join(f"{p:g}" for p in position) + "]"
