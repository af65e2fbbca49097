"""Which data are fine enough: CellMap's `filter_by_scale`."""

from __future__ import annotations

from collections.abc import Sequence

from ..volumes.grid import Triple, as_triple

_AS_FINE = 1 + 1e-3
"""Spacings are equal up to this factor."""


def scale_limit(filter_by_scale: bool | float | Sequence[float], spacing: Sequence[float] | None) -> Triple | None:
    """The coarsest voxel size that `filter_by_scale` lets pass, along z, y, x.

    Args:
        filter_by_scale: false: any; true: `spacing`; a number: that, along all axes; three numbers: along z, y, x.
        spacing: voxel size at which data are read.

    Returns:
        `None` where nothing is filtered.

    Raises:
        ValueError: for anything else, and for true where no spacing is given.
    """
    if filter_by_scale is False or filter_by_scale is None:
        return None
    if filter_by_scale is True:
        if spacing is None:
            raise ValueError(
                "filter_by_scale = true needs the spacing at which data are read; give spacing, or numbers"
            )
        return as_triple(spacing, "spacing", positive=True)
    if isinstance(filter_by_scale, (int, float)):
        return as_triple([filter_by_scale] * 3, "filter_by_scale", positive=True)
    return as_triple(filter_by_scale, "filter_by_scale: a flag, a number or one per axis", positive=True)


def is_as_fine(spacing: Sequence[float], limit: Sequence[float]) -> bool:
    """Whether a voxel size is at most the limit along every axis."""
    return all(have <= most * _AS_FINE for have, most in zip(spacing, limit, strict=True))
