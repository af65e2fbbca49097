"""What can only be measured with a whole crop in memory: distances of surfaces, and the CellMap challenge's counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...metrics import (
    cellmap_instance_counts,
    cellmap_missing_counts,
    cellmap_semantic_counts,
    surface_distances,
)
from ...volumes import Volume
from ...volumes.grid import Triple, common_unit
from ..submissions.grid import to_truth_grid
from .kinds import stored_volume
from .measures import CLASSES, INSTANCE, Measure
from .open import OpenCase, Triplet

BYTES_PER_VOXEL = 64
"""Memory that a voxel of a crop takes at most while distances are measured, labels of 64 bits included."""

_SAME_SPACING = 5e-5
"""Below the difference from which on `to_truth_grid` resamples."""


@dataclass(frozen=True)
class SurfaceScores:
    """What is kept of the surfaces of a foreground.

    Args:
        average: mean distance in both directions; NaN without any surface, infinite where only one side has one.
        hausdorff95: 95th percentile of the distances, in the direction in which it is larger.
        near: by tolerance, voxels of both surfaces that lie within it, and all voxels of both.
    """

    average: float
    hausdorff95: float
    near: dict[float | None, tuple[int, int]] = field(default_factory=dict)


def check_memory(opened: OpenCase, measures: Sequence[Measure], memory_limit: float) -> None:
    """Check that a case is small enough for what is asked for.

    Raises:
        ValueError: that says what to do.
    """
    names = [measure.name for measure in measures if measure.needs_whole and opened.kind in measure.kinds]
    extents = [opened.size]
    if any(measure.base == "cellmap" for measure in measures):
        extents += [_challenge_box(opened, n)[1] for n, volume in enumerate(opened.predictions) if volume is not None]
    needed = max(map(math.prod, extents)) * BYTES_PER_VOXEL
    if names and needed > memory_limit:
        raise ValueError(
            f"{opened.case.title}: {', '.join(names)} need a whole crop in memory, here "
            f"{list(max(extents, key=math.prod))} voxels, about {needed:,} bytes; memory_limit is {memory_limit:,.0f}. "
            "Give a --region, a coarser level of the truth (--spacing z,y,x, or PATH::LEVEL), leave these metrics out, "
            "or raise --memory_limit"
        )


def measure_surfaces(opened: OpenCase, measures: Sequence[Measure]) -> list[dict[int, SurfaceScores]]:
    """Surfaces of the case, for every prediction and class; class 1 is the foreground where there are no classes."""
    tolerances = {measure.number for measure in measures if measure.base == "surface_dice"}
    truth, known = opened.true_labels(opened.low, opened.size)
    found = []
    for n in range(len(opened.predictions)):
        labels = opened.labels_of(n, opened.predicted_values(n, opened.low, opened.size))
        names = [1]
        if opened.kind == CLASSES:
            names = [int(name) for name in np.union1d(np.unique(truth), np.unique(labels[known])) if name]
        else:
            labels, truth = labels != 0, truth != 0
        found.append({name: _surfaces(labels == name, truth == name, known, opened, tolerances) for name in names})
    return found


def challenge_counts(opened: OpenCase, strict: bool) -> list[dict[str, float]]:
    """Counts of the CellMap challenge, for every prediction; a probability counts above 0.5, as there."""
    truth, known = opened.true_labels(opened.low, opened.size)
    spacing, _ = _grid_in_nm(opened.truth)
    found: list[dict[str, float]] = []
    for n, volume in enumerate(opened.predictions):
        if volume is None:
            found.append(dict(cellmap_missing_counts(opened.case.label, truth, known=known)))
        elif opened.kind == INSTANCE:
            labels = _on_challenge_grid(opened, n)
            found.append(cellmap_instance_counts(labels, truth, spacing, known=known, strict=strict))
        else:
            found.append(dict(cellmap_semantic_counts(_on_challenge_grid(opened, n), truth, known=known)))
    return found


def _surfaces(
    predicted: NDArray[np.bool_],
    true: NDArray[np.bool_],
    known: NDArray[np.bool_],
    opened: OpenCase,
    tolerances: set[float | None],
) -> SurfaceScores:
    distances = surface_distances(predicted, true, opened.truth.spacing, known=known)
    return SurfaceScores(
        distances.average, distances.hausdorff(95), {tolerance: distances.near(tolerance) for tolerance in tolerances}
    )


def _on_challenge_grid(opened: OpenCase, n: int) -> NDArray[Any]:
    """Prediction `n` in the region, D H W, resampled by the rule of the challenge."""
    volume = _stored(opened, n)
    start, size = _challenge_box(opened, n)
    block = volume.read(start, size)
    values = volume.decode(block)[0] if opened.has_probabilities(n) else block[0]  # 1 D H W -> D H W
    is_instance = opened.kind == INSTANCE
    truth_spacing, truth_at = _grid_in_nm(opened.truth)
    if not _states_position(opened, volume):
        whole = to_truth_grid(
            values, None, None, opened.truth.spatial_shape, truth_spacing, truth_at, is_instance
        )  # laid middle on middle
        return whole[tuple(slice(low, low + extent) for low, extent in zip(opened.low, opened.size, strict=True))]
    spacing, at = _grid_in_nm(volume)
    return to_truth_grid(
        values, spacing, _position(at, spacing, start),
        opened.size, truth_spacing, _position(truth_at, truth_spacing, opened.low), is_instance,
    )  # fmt: skip


def _challenge_box(opened: OpenCase, n: int) -> tuple[Triplet, Triplet]:
    """First voxel and size of what is read of prediction `n`.

    Voxels of the size of the truth are only moved, so that those around the region will do. Others are read whole:
    what the challenge resamples, and how far, follows from the array's outer edges.
    """
    volume = _stored(opened, n)
    if not _states_position(opened, volume):
        return (0, 0, 0), volume.spatial_shape
    (spacing, at), (truth_spacing, truth_at) = _grid_in_nm(volume), _grid_in_nm(opened.truth)
    if any(abs(have / want - 1) > _SAME_SPACING for have, want in zip(spacing, truth_spacing, strict=True)):
        return (0, 0, 0), volume.spatial_shape
    start, size = [], []
    wanted = _position(truth_at, truth_spacing, opened.low)
    for first, voxel, begin, extent, end in zip(wanted, spacing, at, opened.size, volume.spatial_shape, strict=True):
        low = math.floor((first - begin) / voxel) - 1  # a voxel more on each side, for rounding
        high = min(low + extent + 3, end)
        start.append(min(max(low, 0), end - 1))
        size.append(max(high - start[-1], 1))
    return (start[0], start[1], start[2]), (size[0], size[1], size[2])


def _stored(opened: OpenCase, n: int) -> Volume:
    volume = opened.predictions[n]
    if volume is None:
        raise ValueError(f"{opened.case.title}: prediction {n} is missing")
    return stored_volume(volume)


def _states_position(opened: OpenCase, volume: Volume) -> bool:
    return opened.resample and volume.states_geometry and opened.truth.states_geometry


def _grid_in_nm(volume: Volume) -> tuple[Triple, Triple]:
    """Voxel size and translation; a store without unit is in nm, as all of the challenge's are."""
    _, (factor, _) = common_unit([volume.unit, "nm"], volume.path)
    (z, y, x), (tz, ty, tx) = volume.spacing, volume.translation
    return (z * factor, y * factor, x * factor), (tz * factor, ty * factor, tx * factor)


def _position(translation: Triple, spacing: Triple, voxel: Triplet) -> Triple:
    z, y, x = (at + step * index for at, step, index in zip(translation, spacing, voxel, strict=True))
    return z, y, x
